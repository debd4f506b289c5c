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
	to     media.Sink // the leg's

	mu      sync.Mutex
	asked   int
	restore func()
}

// newDigits makes what speaks to a sink, in tones or in telephone-events.
func newDigits(p *media.Pipeline, to media.Sink, tones bool) (*digits, error) {
	d := &digits{to: to}
	var err error
	d.sender, err = dtmf.NewSender(dtmf.Config{Clock: p.Clock(), Tones: tones, Registry: p.Registry(), Post: func(media.Notice) { d.done() }})
	if err != nil {
		return nil, err
	}
	return d, p.Add(d.sender)
}

// send queues one digit.
func (d *digits) send(digit byte, held time.Duration) error {
	return d.say(func() error { return d.sender.Dial(string(digit), min(max(held, 40*time.Millisecond), time.Second)) })
}

// press begins a digit that lasts until it is released.
func (d *digits) press(digit byte) error {
	return d.say(func() error { return d.sender.Press(digit) })
}

// say asks for one digit.
func (d *digits) say(ask func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	silent := d.restore == nil
	if silent { // before the first packet is due, which says when the digit began
		d.restore = media.Interrupt(d.to, d.sender.Source(media.Pad{}))
	}
	if err := ask(); err != nil {
		if silent {
			d.restore()
			d.restore = nil
		}
		return fmt.Errorf("digit: %w", err)
	}
	d.asked++
	return nil
}

// close ends what is being sent, and gives the leg its audio back.
func (d *digits) close(p *media.Pipeline) {
	if d == nil {
		return
	}
	d.mu.Lock()
	if d.restore != nil {
		d.restore()
		d.restore = nil
	}
	d.mu.Unlock()
	_ = p.Remove(d.sender) // its Close has nothing to fail
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
	c.noteDigit(l, e)
	far := c.far(l)
	released := e.Tone && l.release()
	switch {
	case far == nil:
		c.tell(AppEvent{Kind: AppDigit, At: e.At, Digit: e.Digit, Held: e.Held})
	case e.InMedia && agreed(far.ep).Events: // relayed already, frame by frame
	case far.party.dtmf == "none", released:
	case e.Tone && far.party.dtmf == inband: // its peer has heard the tones
	default:
		held := time.Duration(max(e.Held, 80)) * time.Millisecond
		if err := far.Digit(e.Digit, held); err != nil {
			c.log.Warn("digit not sent", "leg", far.no, "err", err)
			c.rec.note(far.no, time.Now(), call.Note{Text: "a digit was not sent: " + err.Error()})
		}
	}
}

func (c *Call) noteDigit(l *sipLeg, e LegEvent) {
	by, shown := "info", "*masked*"
	switch {
	case e.InMedia:
		by = "rfc4733"
	case e.Tone:
		by = inband
	}
	if c.g.cfg.Digits {
		shown = string(e.Digit)
	}
	c.rec.note(l.no, e.At, call.DTMF{Digit: shown, DurationMS: e.Held, By: by})
}

// sendDigits obeys an order to send digits to a leg.
func (c *Call) sendDigits(cmd command) {
	var legs []string
	for _, l := range c.parties() {
		legs = append(legs, strconv.Itoa(l.no))
		if l.no != cmd.no {
			continue
		}
		var err error
		for i := range len(cmd.text) {
			done := func(error) {}
			if i == len(cmd.text)-1 {
				done = func(err error) { respond(cmd, err) }
			}
			if err = l.dial(cmd.text[i], 100*time.Millisecond, done); err != nil {
				respond(cmd, err)
				return
			}
		}
		return
	}
	respond(cmd, fmt.Errorf("the call has no leg %d: expected %s", cmd.no, strings.Join(legs, " or ")))
}

// Digit implements Leg: as telephone-event where that was negotiated, as tones where the settings say so, else by INFO. It doesn't wait for either.
func (l *sipLeg) Digit(digit byte, held time.Duration) error {
	return l.dial(digit, held, func(err error) {
		if err != nil {
			l.log.Warn("digit not sent", "err", err)
		}
	})
}

// dial sends a digit after those before it. done is told what came of it, unless there is an error at once.
func (l *sipLeg) dial(digit byte, held time.Duration, done func(error)) error {
	if agreed(l.ep).Events || l.party.dtmf == inband {
		if l.digits == nil {
			return errors.New("leg is not linked")
		}
		if err := l.digits.send(digit, held); err != nil {
			return err
		}
		done(nil)
		return nil
	}
	if l.party.dtmf == "none" {
		return errors.New("DTMF is switched off for this party")
	}
	return l.speak(spoken{digit, held, done})
}

// speech is digits that travel by INFO: one after the other, since each is a transaction of its own.
type speech struct {
	mu    sync.Mutex
	queue []spoken
	busy  bool
}

type spoken struct {
	digit byte
	held  time.Duration
	done  func(error)
}

// maxSpoken bounds the digits that wait for a peer that is slow to confirm the ones before.
const maxSpoken = 2 * maxDigits

func (l *sipLeg) speak(s spoken) error {
	l.speech.mu.Lock()
	defer l.speech.mu.Unlock()
	if len(l.speech.queue) >= maxSpoken {
		return fmt.Errorf("%d digits wait to be sent already", len(l.speech.queue))
	}
	l.speech.queue = append(l.speech.queue, s)
	if !l.speech.busy {
		l.speech.busy = true
		l.g.wg.Go(l.inform)
	}
	return nil
}

// inform sends what waits until nothing does.
func (l *sipLeg) inform() {
	for {
		l.speech.mu.Lock()
		if len(l.speech.queue) == 0 {
			l.speech.busy = false
			l.speech.mu.Unlock()
			return
		}
		s := l.speech.queue[0]
		l.speech.queue = l.speech.queue[1:]
		l.speech.mu.Unlock()
		s.done(l.info(s))
	}
}

func (l *sipLeg) info(s spoken) error {
	ctx, cancel := context.WithTimeout(l.g.ctx, 5*time.Second)
	defer cancel()
	if closed(l.gone) {
		return ErrNoCall
	}
	return l.d.Info(ctx, "application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", s.digit, s.held.Milliseconds()))
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
