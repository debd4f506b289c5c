package gateway

import (
	"fmt"
	"sync"
	"time"

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
