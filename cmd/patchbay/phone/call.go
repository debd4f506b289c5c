package phone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// Plan is what to do in one call.
type Plan struct {
	Number string        // to dial; not for Answer
	Play   Sound         // from the answer on
	Record string        // WAV file of what is heard; "" = none
	Ring   time.Duration // how long it may ring, and for Answer how long to wait for a call; 0 = 60 s
	Talk   time.Duration // then we hang up; 0 = only the peer does
	Digits string        // DTMF to send, half a second after the answer
	Expect string        // we hang up as soon as these digits were heard; "" = don't
	Silent bool          // no packet need come: without it an answered call in which none came is a failure
}

// Result is how a call was, in both directions.
type Result struct {
	Number string `json:"number"` // dialled, or who calls
	Played string `json:"played"`
	leg.Report
	Story []Line `json:"story"`
}

// Times of a call.
const (
	ringTime  = time.Minute
	digitsLag = 500 * time.Millisecond
	byeTime   = 4 * time.Second
)

// call is one call under way.
type call struct {
	p      *Phone
	plan   Plan
	leg    *leg.Leg
	number string
	ended  *leg.Event
	heard  bool          // the peer has responded
	sound  chan struct{} // a file is at its end
}

// Call dials, talks as planned and hangs up. The error is a *Failure if the call wasn't answered, or if it had no media; the result tells as much as is
// known in any case. Ending ctx hangs up.
func (p *Phone) Call(ctx context.Context, plan Plan) (Result, error) {
	if err := plan.check(); err != nil {
		return Result{}, err
	}
	target, err := p.address(plan.Number)
	if err != nil {
		return Result{}, fmt.Errorf("number %q: %w", plan.Number, err)
	}
	from, err := p.address(p.cfg.User)
	if err != nil {
		return Result{}, err
	}
	p.tell(time.Time{}, "dials %s", plan.Number)
	l, err := leg.Dial(ctx, p.config(plan), p.ua, sip.Invite{Target: target, From: sip.NameAddr{URI: from}, Destination: p.way,
		Timeout: plan.Ring, TrialTimeout: 2 * registerTime})
	if err != nil {
		return Result{}, err
	}
	c := p.newCall(plan, l, plan.Number)
	for c.ended == nil && l.Report().Answered == nil {
		if e, ok := <-l.Events(); ok { // ctx cancels the INVITE by itself
			c.event(e)
		} else {
			break
		}
	}
	return c.talk(ctx)
}

// Answer waits for a call, answers it, and goes on as Call does.
func (p *Phone) Answer(ctx context.Context, plan Plan) (Result, error) {
	if err := plan.check(); err != nil {
		return Result{}, err
	}
	p.tell(time.Time{}, "waits for a call")
	late := time.NewTimer(plan.Ring)
	defer late.Stop()
	var d *sip.Dialog
	select {
	case d = <-p.inbound:
	case <-late.C:
		return Result{}, &Failure{Text: fmt.Sprintf("no call came in %s", plan.Ring)}
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	caller := wire.Unescape(d.Request().From.URI.User)
	p.tell(d.Request().At, "is called by %s for %s", caller, wire.Unescape(d.Request().URI.User))
	l, err := leg.Take(p.config(plan), d)
	if err != nil {
		return Result{}, errors.Join(err, d.Reject(500, ""))
	}
	c := p.newCall(plan, l, caller)
	if err = l.Progress(180, false); err == nil {
		p.tell(time.Time{}, "rings, and answers")
		err = l.Answer()
	}
	if err != nil {
		err = errors.Join(err, l.RejectFor(err), l.Close())
		return c.result(), fmt.Errorf("call from %s not taken: %w", caller, err)
	}
	return c.talk(ctx)
}

func (plan *Plan) check() error {
	if plan.Ring == 0 {
		plan.Ring = ringTime
	}
	if plan.Ring < 0 || plan.Talk < 0 {
		return fmt.Errorf("ringing %s, talking %s: expected no negative time", plan.Ring, plan.Talk)
	}
	if strings.Trim(plan.Digits, "0123456789*#ABCDabcd") != "" || len(plan.Digits) > 64 {
		return fmt.Errorf("DTMF %q: expected up to 64 of 0-9 * # A-D", plan.Digits)
	}
	return nil
}

func (p *Phone) config(plan Plan) leg.Config {
	return leg.Config{Media: p.media, Formats: p.formats, Silence: 10 * time.Second, Record: plan.Record, Log: p.log}
}

func (p *Phone) newCall(plan Plan, l *leg.Leg, number string) *call {
	return &call{p: p, plan: plan, leg: l, number: number, sound: make(chan struct{}, 1)}
}

// event tells what happens.
func (c *call) event(e leg.Event) {
	c.heard = c.heard || e.Kind == leg.Trying || e.Kind == leg.Progress
	switch e.Kind {
	case leg.Answered:
		r := c.leg.Report()
		to := r.Remote.String()
		if !r.Remote.IsValid() { // a browser's has to be found
			to = "where ICE finds it"
		}
		c.p.tell(e.At, "answered: %s, RTP %s to %s", r.Codec, r.Local, to)
	case leg.Flowing:
		c.p.tell(e.At, "%s", e)
		if r := c.leg.Report(); r.Cipher != "" {
			c.p.tell(e.At, "media is encrypted: DTLS-SRTP, %s, %.0f ms after offer and answer", r.Cipher, r.SetUp)
		}
	case leg.Ended:
		c.ended = &e
		c.p.tell(e.At, "%s", e)
	default:
		c.p.tell(e.At, "%s", e)
	}
}

// talk does what is planned from the answer on, and ends the call.
func (c *call) talk(ctx context.Context) (Result, error) {
	err := c.converse(ctx)
	if c.ended == nil {
		c.p.tell(time.Time{}, "hangs up")
		bye, cancel := context.WithTimeout(context.Background(), byeTime)
		defer cancel()
		if herr := c.leg.Hangup(bye, 0, ""); herr != nil {
			err = errors.Join(err, fmt.Errorf("hang-up not confirmed: %w", herr))
		}
		for e := range c.leg.Events() {
			c.event(e)
		}
	}
	r := c.result()
	if err == nil && !c.plan.Silent {
		if f := c.p.mediaFailure(r.Report); f != nil {
			c.p.tell(time.Time{}, "fails: %s", f.Text)
			r.Story, err = c.p.Story(), f
		}
	}
	return r, errors.Join(err, c.leg.Close())
}

func (c *call) converse(ctx context.Context) error {
	if c.ended != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.p.callFailure(c.number, *c.ended, c.heard)
	}
	if err := c.plan.Play.play(c.leg, c.sound); err != nil {
		return err
	}
	var end, digits <-chan time.Time
	if c.plan.Talk > 0 {
		t := time.NewTimer(c.plan.Talk)
		defer t.Stop()
		end = t.C
	}
	if c.plan.Digits != "" {
		t := time.NewTimer(digitsLag)
		defer t.Stop()
		digits = t.C
	}
	for c.ended == nil {
		select {
		case e, ok := <-c.leg.Events():
			if !ok {
				return nil
			}
			c.event(e)
			if e.Kind == leg.Digit && c.plan.Expect != "" && c.leg.Report().Digits == c.plan.Expect {
				return nil
			}
		case <-c.sound:
			if err := c.leg.Silence(); err != nil {
				return err
			}
		case <-digits:
			if err := c.press(ctx); err != nil {
				return err
			}
		case <-end:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// press sends the digits beside whatever else happens: by INFO where the peer takes no telephone-events.
func (c *call) press(ctx context.Context) error {
	_, err := c.leg.Press(c.plan.Digits, 0)
	if !errors.Is(err, leg.ErrNoEvents) {
		c.p.tell(time.Time{}, "sends DTMF %s", c.plan.Digits)
		return err
	}
	for _, d := range strings.ToUpper(c.plan.Digits) {
		info, cancel := context.WithTimeout(ctx, byeTime)
		err := c.leg.Dialog().Info(info, "application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=100\r\n", d))
		cancel()
		if err != nil {
			return fmt.Errorf("DTMF %c by INFO: %w", d, err)
		}
	}
	c.p.tell(time.Time{}, "sends DTMF %s by INFO", c.plan.Digits)
	return nil
}

func (c *call) result() Result {
	return Result{Number: c.number, Played: c.plan.Play.name, Report: c.leg.Report(), Story: c.p.Story()}
}
