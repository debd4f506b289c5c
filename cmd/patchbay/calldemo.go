package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/cmd/patchbay/carrier"
	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/cmd/patchbay/phone"
	"github.com/patchbay/patchbay/gateway/call"
)

// Times that the demo waits at most.
const (
	demoReady  = time.Minute
	demoRecord = time.Minute
)

// demoCall is one call of the demo and what must be heard in it.
type demoCall struct {
	number, what string
	talk         time.Duration
	hears        leg.Tone // what the browser hears at the end; the carrier hears the browser's own tone
	digits       string
}

// ownTone is what the browser plays.
var ownTone = leg.Tone{Hz: 440, Level: -10}

// demoCalls are short: speech of 4 s, and a second of each tone to measure.
func demoCalls() []demoCall {
	return []demoCall{
		{number: "9000", what: "speech, then our own tone as echo", talk: 6 * time.Second, hears: ownTone},
		{number: "9001", what: "the milliwatt", talk: 2500 * time.Millisecond, hears: leg.Tone{Hz: 1004, Level: 0}},
		{number: "9005", what: "our digits, read back", talk: 15 * time.Second, digits: "159#"},
	}
}

// checks collects what is not as it must be.
type checks struct {
	w     io.Writer
	wrong []string
}

func (c *checks) that(ok bool, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	mark := "ok   "
	if !ok {
		mark = "WRONG"
		c.wrong = append(c.wrong, s)
	}
	fmt.Fprintf(c.w, "%12s  %s\n", mark, plain(s))
}

// tone checks a tone that somebody heard in the last second: within half a decibel, and 2 Hz.
func (c *checks) tone(who string, got, want leg.Tone) {
	c.that(math.Abs(got.Hz-want.Hz) <= 2 && math.Abs(got.Level-want.Level) <= 0.5, "%s hears %.1f Hz at %.2f dBm0; expected %.0f Hz at %.1f dBm0",
		who, got.Hz, got.Level, want.Hz, want.Level)
}

// demo makes its calls from alice's browser through Patchbay to the demo carrier, and prints their story, what both ends heard, which
// way the media took, and the records.
func demo(cmd *cobra.Command, f callFlags) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := waitReady(ctx, f.page()+"/readyz"); err != nil {
		return err
	}
	dir, err := dataFolder(f.data)
	if err != nil {
		return err
	}
	c := &checks{w: out}
	began := time.Now()
	fmt.Fprintf(out, "== the browser of %s at %s\n", f.user, f.page())
	p, err := f.phone(ctx, out, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ids, err := f.demoCalls(ctx, p, c, carrier.Connect(carrierSocket(dir)))
	if err = errors.Join(err, p.Close()); err != nil {
		return err
	}
	if err := demoRecords(ctx, records{data: dir}, began, ids, c); err != nil {
		return err
	}
	if len(c.wrong) > 0 {
		return fmt.Errorf("not as it must be:\n  %s", strings.Join(c.wrong, "\n  "))
	}
	fmt.Fprintln(out, "\nAll is as it must be.")
	return nil
}

// demoCalls makes the calls, one after the other, and returns their SIP Call-IDs.
func (f *callFlags) demoCalls(ctx context.Context, p *phone.Phone, c *checks, far *carrier.Client) ([]string, error) {
	if err := p.Register(ctx); err != nil {
		return nil, err
	}
	own, err := phone.ParseSound(fmt.Sprintf("tone:%g@%g", ownTone.Hz, ownTone.Level))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range demoCalls() {
		fmt.Fprintf(c.w, "\n== %s: %s\n", d.number, d.what)
		began := time.Now()
		r, err := p.Call(ctx, phone.Plan{Number: d.number, Play: own, Talk: d.talk, Digits: d.digits, Expect: d.digits})
		if err != nil {
			return nil, fmt.Errorf("call to %s: %w", d.number, err)
		}
		ids = append(ids, r.CallID)
		there, err := carrierSide(ctx, far, d.number, began)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(heardText(c.w, r.Report, "the browser"), heardText(c.w, there.Report, "the carrier")); err != nil {
			return nil, err
		}
		c.that(r.Cipher != "", "the browser's media is DTLS-SRTP with %s and goes to Patchbay's shared port %d", r.Cipher, r.Remote.Port())
		c.that(r.Codec == there.Codec, "%s at the browser and %s at the carrier: not transcoded", r.Codec, there.Codec)
		if d.digits != "" {
			c.that(there.Digits == d.digits, "the carrier hears the digits %q; expected %q", there.Digits, d.digits)
			c.that(r.Digits == d.digits, "the browser hears them read back as %q; expected %q", r.Digits, d.digits)
			continue
		}
		c.tone("the browser", r.Heard.Strongest, d.hears)
		c.tone("the carrier", there.Heard.Strongest, ownTone)
		c.that(r.Heard.Lost == 0 && there.Heard.Lost == 0, "%d and %d packets are lost; expected none", r.Heard.Lost, there.Heard.Lost)
	}
	return ids, nil
}

// waitReady waits until Patchbay says that calls may come.
func waitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, demoReady)
	defer cancel()
	last := errors.New("no answer")
	for {
		if err := readyNow(ctx, url); err == nil {
			return nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("patchbay is not ready within %s: %w", demoReady, last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func readyNow(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}

// carrierSide is the far end of a call, once it has ended there.
func carrierSide(ctx context.Context, far *carrier.Client, number string, began time.Time) (carrier.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		calls, err := far.Calls(ctx, true)
		if err != nil {
			return carrier.Call{}, err
		}
		for _, c := range slices.Backward(calls) {
			if c.Direction == "in" && c.Number == number && c.State == "ended" && !c.Began.Before(began.Round(0)) {
				return c, nil
			}
		}
		select {
		case <-ctx.Done():
			return carrier.Call{}, fmt.Errorf("the carrier has seen no call to %s that ended", number)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// demoRecords checks the records of the calls in the database and prints them, the first one whole.
func demoRecords(ctx context.Context, r records, began time.Time, ids []string, c *checks) error {
	fmt.Fprintln(c.w, "\n== the records")
	cfg, err := r.where()
	if err != nil {
		return err
	}
	reader, list, err := closedRecords(ctx, cfg, began, ids)
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := listCalls(c.w, list, r.zone()); err != nil {
		return err
	}
	for _, k := range list {
		c.that(k.AnsweredAt != nil && k.EndedBy == call.Caller && k.Cause.Q850 == 16 && k.User == "alice",
			"the record of the call to %s says: answered, ended by the caller, cause 16", k.To)
		var srtp []string
		for _, l := range k.Legs {
			srtp = append(srtp, l.Media.SRTP)
		}
		c.that(!k.Transcoded && slices.Equal(srtp, []string{"dtls", "none"}), "and that its legs have SRTP %q, without transcoding; expected dtls and none", srtp)
	}
	c.that(len(list) == len(ids), "%d calls have %d closed records", len(ids), len(list))
	why := reader.Database()
	c.that(why == nil, "Postgres can be read%s", because(why))
	if len(list) == 0 {
		return nil
	}
	first := list[len(list)-1]
	whole, events, err := reader.Show(ctx, first.ID.String())
	if err != nil {
		return err
	}
	fmt.Fprintf(c.w, "\n== patchbay why %s\n%s\n== patchbay cdr show %s\n", first.ID, tell(whole, events, r.zone()), first.ID)
	return showCall(c.w, whole, events, r.zone())
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// closedRecords waits until all calls with these SIP Call-IDs have a closed record in the database, or not much longer: the
// private Postgres of a new data folder has to be made first, while calls already go. The caller closes the reader.
func closedRecords(ctx context.Context, cfg billing.Config, began time.Time, ids []string) (*billing.Reader, []*call.Call, error) {
	until := time.Now().Add(demoRecord)
	for {
		reader, err := billing.OpenReader(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		all, err := reader.List(ctx, billing.Filter{From: began.Add(-time.Second), State: call.Closed})
		if err != nil {
			return nil, nil, errors.Join(err, reader.Close())
		}
		ours := slices.DeleteFunc(all, func(k *call.Call) bool {
			return !slices.ContainsFunc(k.Legs, func(l *call.Leg) bool { return slices.Contains(ids, l.SIPCallID) })
		})
		if len(ours) == len(ids) && reader.Database() == nil || time.Now().After(until) {
			return reader, ours, nil
		}
		if err := reader.Close(); err != nil {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
