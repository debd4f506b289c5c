package webrtc

import "github.com/patchbay/patchbay/media"

const (
	messagesMax  = 256     // that wait for a channel
	messageBytes = 1 << 20 // and their bytes
	bufferedMax  = 1 << 20 // bytes that SCTP is given for a channel before what went first is out
)

// message is one of a data channel's.
type message struct {
	text bool
	p    []byte
}

// outbox is the messages that wait for a channel. If one more doesn't fit the oldest go.
type outbox struct {
	list  []message
	bytes int
}

// put adds a message, and says how many had to go.
func (b *outbox) put(m message) (lost uint64) {
	for len(b.list) > 0 && (len(b.list) >= messagesMax || b.bytes+len(m.p) > messageBytes) {
		b.take()
		lost++
	}
	b.list = append(b.list, m)
	b.bytes += len(m.p)
	return lost
}

// take is the oldest message; false if there is none.
func (b *outbox) take() (m message, ok bool) {
	if len(b.list) == 0 {
		return m, false
	}
	m = b.list[0]
	b.list[0] = message{} // or its bytes would stay
	b.list = b.list[1:]
	b.bytes -= len(m.p)
	return m, true
}

// dataSink is where messages for the peer enter.
type dataSink struct {
	media.Inlet
	c    *channels
	caps *media.Caps
}

// Caps is text and bytes.
func (k *dataSink) Caps() *media.Caps { return k.caps }

// Push queues a message for each channel that is open. Where too many wait the oldest goes.
func (k *dataSink) Push(f *media.Frame) {
	c := k.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Kind != media.Data || len(f.Payload) > dataMax || f.Format != c.text && f.Format != c.binary || c.ended {
		c.dropped++
		return
	}
	m := message{text: f.Format == c.text}
	heard := false
	for _, n := range c.list {
		if !n.open || n.over {
			continue
		}
		if !heard {
			heard, m.p = true, append([]byte(nil), f.Payload...)
		}
		c.dropped += n.waits.put(m)
	}
	if !heard {
		c.dropped++
		return
	}
	if !c.running {
		c.running = true
		c.work.Go(c.send)
	}
	c.poke()
}

// poke wakes the goroutine that sends: there is something to send, or room for it.
func (c *channels) poke() {
	select {
	case c.some <- struct{}{}:
	default:
	}
}

// send hands messages to the channels, until the end.
func (c *channels) send() {
	var list []*channel
	for {
		select {
		case <-c.some:
		case <-c.done:
			return
		}
		for sent := true; sent; {
			sent = false
			list = c.waiting(list[:0])
			for _, n := range list {
				sent = c.write(n) || sent
			}
		}
	}
}

// waiting adds to list the channels that have something to send.
func (c *channels) waiting(list []*channel) []*channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return list
	}
	for _, n := range c.list {
		if len(n.waits.list) > 0 {
			list = append(list, n)
		}
	}
	return list
}

// write sends the oldest message that waits for a channel; false if there is none, or SCTP has enough of it, and will say when not.
func (c *channels) write(n *channel) bool {
	if n.dc.BufferedAmount() >= bufferedMax {
		return false
	}
	c.mu.Lock()
	m, ok := n.waits.take()
	c.mu.Unlock()
	if !ok {
		return false
	}
	var err error
	if m.text {
		err = n.dc.SendText(string(m.p))
	} else {
		err = n.dc.Send(m.p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.dropped++
		return true
	}
	n.stats.Sent++
	n.stats.SentBytes += uint64(len(m.p))
	return true
}
