package gateway

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
)

// digits speaks DTMF to a leg in place of whatever feeds it, for as long as the digits last.
type digits struct {
	sender *dtmf.Sender
	over   *media.Source // that feeds the leg

	mu      sync.Mutex
	asked   int
	restore func()
}

func newDigits(p *media.Pipeline, over *media.Source) (*digits, error) {
	d := &digits{over: over}
	var err error
	d.sender, err = dtmf.NewSender(dtmf.Config{Clock: p.Clock(), Post: func(media.Notice) { d.done() }})
	if err != nil {
		return nil, err
	}
	return d, p.Add(d.sender)
}

// send queues one digit.
func (d *digits) send(digit byte, held time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.sender.Dial(string(digit), min(max(held, 40*time.Millisecond), time.Second)); err != nil {
		return fmt.Errorf("digit: %w", err)
	}
	d.asked++
	if d.restore == nil {
		d.restore = d.over.Override(d.sender.Source(media.Pad{}))
	}
	return nil
}

// done gives the leg its audio back once all that was asked for is sent: more may have been asked for meanwhile.
func (d *digits) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s media.Snapshot
	d.sender.Stats(&s)
	if d.restore != nil && int(s.Notes["dtmf.sent"]) >= d.asked {
		d.restore()
		d.restore = nil
	}
}

// digit records a DTMF digit and, where the two sides carry digits in different ways, hands it across.
func (c *Call) digit(l *sipLeg, e LegEvent) {
	by := "info"
	if e.InMedia {
		by = "rfc4733"
	}
	shown := "*masked*"
	if c.g.cfg.Digits {
		shown = string(e.Digit)
	}
	c.rec.note(l.no, e.At, call.DTMF{Digit: shown, DurationMS: e.Held, By: by})
	far := c.far(l)
	if e.InMedia && far.ep.Negotiated().Events {
		return // relayed already, frame by frame
	}
	held := time.Duration(max(e.Held, 80)) * time.Millisecond
	if far.ep.Negotiated().Events {
		if err := far.Digit(e.Digit, held); err != nil {
			c.log.Warn("digit not sent", "leg", far.no, "err", err)
		}
		return
	}
	c.g.wg.Go(func() { // INFO waits for its answer; the call doesn't
		if err := far.Digit(e.Digit, held); err != nil {
			c.log.Warn("digit not sent", "leg", far.no, "err", err)
		}
	})
}

func (c *Call) sendDigits(no int, digits string) error {
	for _, l := range []*sipLeg{c.caller, c.callee} {
		if l.no != no {
			continue
		}
		for _, d := range []byte(digits) {
			if err := l.Digit(d, 100*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("the call has no such leg")
}

// Digit implements Leg: as telephone-event where that was negotiated, else by INFO.
func (l *sipLeg) Digit(digit byte, held time.Duration) error {
	if l.ep.Negotiated().Events {
		if l.digits == nil {
			return errors.New("leg is not linked")
		}
		return l.digits.send(digit, held)
	}
	if l.party.dtmf == "none" {
		return errors.New("DTMF is switched off for this party")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.d.Info(ctx, "application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", digit, held.Milliseconds()))
}

// infoDigit reads a DTMF digit from an INFO: application/dtmf-relay ("Signal=5", "Duration=160") or application/dtmf.
func infoDigit(content string, body []byte) (digit byte, ms int, ok bool) {
	t, _, err := mime.ParseMediaType(content)
	if err != nil || len(body) > 256 {
		return 0, 0, false
	}
	ms = 100
	text := strings.TrimSpace(string(body))
	switch t {
	case "application/dtmf":
	case "application/dtmf-relay":
		signal := ""
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
			k, v, _ := strings.Cut(line, "=")
			switch strings.ToLower(strings.TrimSpace(k)) {
			case "signal":
				signal = strings.TrimSpace(v)
			case "duration":
				if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && n > 0 && n <= 10000 {
					ms = n
				}
			}
		}
		text = signal
	default:
		return 0, 0, false
	}
	switch text { // event numbers are used as well as characters
	case "10":
		text = "*"
	case "11":
		text = "#"
	}
	if len(text) != 1 || !strings.Contains("0123456789*#ABCDabcd", text) {
		return 0, 0, false
	}
	return strings.ToUpper(text)[0], ms, true
}
