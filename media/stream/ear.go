package stream

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
)

const (
	ring    = 100  // frames that wait for the connection: two seconds
	longest = 4096 // bytes of a frame, 85 ms at 24 kHz
	said    = 256  // messages other than audio that wait
)

// ear takes what the application is to hear. Frames wait in a ring for the connection; of more than fit the oldest are dropped,
// and the sequence numbers say so.
type ear struct {
	media.Inlet
	caps   *media.Caps
	format *media.Format
	binary bool
	size   int // bytes of a sample
	wake   chan struct{}

	mu      sync.Mutex
	slots   [ring]heardFrame
	head    int
	count   int
	words   []message
	keys    dtmf.Reader
	seq     uint64 // of the newest frame
	begun   bool
	over    bool // nobody reads it any more
	epoch   uint32
	base    uint32 // timestamp of the stream's first sample, moved where a stream begins anew
	at      int64  // samples that it stands for
	end     int64  // after the newest
	sent    uint64
	dropped uint64

	now heardFrame // the writer's, as is out
	out []byte
}

type heardFrame struct {
	seq uint64
	at  int64 // samples since the first
	n   int
	b   [longest]byte
}

func (e *ear) init(cfg *Config) {
	e.format, e.binary, e.size = cfg.format(), cfg.Binary, 1
	if cfg.Encoding == PCM16 {
		e.size = 2
	}
	list := []*media.Format{e.format}
	if cfg.Digits {
		list = append(list, media.TelephoneEvent(8000), media.TelephoneEvent(48000))
	}
	e.caps = &media.Caps{Formats: list}
	e.wake = make(chan struct{}, 1)
	e.words = make([]message, 0, said)
}

// Caps is the stream's own format.
func (e *ear) Caps() *media.Caps { return e.caps }

// Push puts a frame into the ring.
func (e *ear) Push(f *media.Frame) {
	if f.Kind == media.Event {
		e.key(f)
		return
	}
	n := len(f.Payload)
	if f.Format != e.format || n == 0 || n > longest || n%e.size != 0 {
		return
	}
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		return
	}
	if !e.begun || e.epoch != f.Epoch {
		e.begun, e.epoch, e.base, e.at = true, f.Epoch, f.Timestamp, e.end
	}
	at := e.at + int64(int32(f.Timestamp-e.base))
	if at < 0 || at > e.end+int64(60*e.format.Clock) || at < e.end-int64(60*e.format.Clock) { // not of this stream's time
		e.base, e.at, at = f.Timestamp, e.end, e.end
	}
	e.base, e.at = f.Timestamp, at // so that the clock may wrap
	e.end = max(e.end, at+int64(n/e.size))
	if e.count == ring {
		e.head = (e.head + 1) % ring
		e.count--
		e.dropped++
	}
	e.seq++
	slot := &e.slots[(e.head+e.count)%ring]
	slot.seq, slot.at, slot.n = e.seq, at, n
	if e.size == 2 {
		for i := 0; i < n; i += 2 { // network byte order here, the other one there
			slot.b[i], slot.b[i+1] = f.Payload[i+1], f.Payload[i]
		}
	} else {
		copy(slot.b[:], f.Payload)
	}
	e.count++
	e.mu.Unlock()
	e.poke()
}

// key reads a telephone-event.
func (e *ear) key(f *media.Frame) {
	e.mu.Lock()
	d, ended := e.keys.Packet(f.Payload, f.Timestamp, f.Format.Clock, f.Arrival)
	e.mu.Unlock()
	if ended {
		e.digit(d.Digit, d.Duration)
	}
}

// digit tells of a digit.
func (e *ear) digit(d byte, ms int) {
	const all = "0123456789*#ABCD"
	if i := strings.IndexByte(all, d); i >= 0 {
		e.say(message{Event: "dtmf", Digit: all[i : i+1], Duration: ms})
	}
}

func (e *ear) wrong(what string) { e.say(message{Event: "error", Message: what}) }

// say queues a message. An application that reads nothing loses some, as it does audio.
func (e *ear) say(m message) {
	e.mu.Lock()
	if len(e.words) < said {
		e.words = append(e.words, m)
	}
	e.mu.Unlock()
	e.poke()
}

// shut takes no more audio.
func (e *ear) shut() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
}

func (e *ear) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// next is what is to be written next, nil if there is nothing. It stands until the next call.
func (e *ear) next() (kind int, b []byte) {
	word, frame := e.take()
	switch {
	case word != nil:
		b, err := json.Marshal(word)
		if err != nil { // none of its members can fail
			return 0, nil
		}
		return websocket.TextMessage, b
	case frame == nil:
		return 0, nil
	case e.binary:
		return websocket.BinaryMessage, frame.b[:frame.n]
	}
	e.out = append(e.out[:0], `{"event":"media","sequence":`...)
	e.out = strconv.AppendUint(e.out, frame.seq, 10)
	e.out = append(e.out, `,"timestamp":`...)
	e.out = strconv.AppendInt(e.out, frame.at*1000/int64(e.format.Clock), 10)
	e.out = append(e.out, `,"payload":"`...)
	e.out = base64.StdEncoding.AppendEncode(e.out, frame.b[:frame.n])
	e.out = append(e.out, `"}`...)
	return websocket.TextMessage, e.out
}

// take takes a message or, if none waits, the oldest frame. What holds the lock here is short: Push waits for it.
func (e *ear) take() (*message, *heardFrame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.words) > 0 {
		m := e.words[0]
		e.words = slices.Delete(e.words, 0, 1)
		return &m, nil
	}
	if e.count == 0 {
		return nil, nil
	}
	slot := &e.slots[e.head]
	e.head = (e.head + 1) % ring
	e.count--
	e.sent++
	e.now.seq, e.now.at, e.now.n = slot.seq, slot.at, copy(e.now.b[:], slot.b[:slot.n])
	return nil, &e.now
}

func (e *ear) counts() (sent, dropped uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sent, e.dropped
}
