package player

import (
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	most  = 256     // units that wait: of sound, five seconds as a rule
	large = 4 << 20 // bytes that wait, unless one unit alone is larger
)

// lane is what waits for one pad, and how it is numbered on its way out.
type lane struct {
	src   *media.Source
	slots [most]slot
	head  int // the oldest
	count int
	bytes int

	format *media.Format
	frame  media.Frame
	base   uint32 // timestamp at position 0 of this epoch
	began  bool   // this epoch has sent
	talk   bool   // something comes after a time in which nothing did
	pack   packer // of video; nil: a unit is a frame
}

// slot is a unit that waits.
type slot struct {
	at   time.Duration
	key  bool
	data []byte
}

// packer makes the payloads of RTP packets out of a unit.
type packer interface {
	Packets(unit []byte, send func(payload []byte, last bool))
}

func (l *lane) init(kind media.Kind, reg *media.Registry, back func(media.Feedback)) {
	l.src = media.NewSource(reg, back)
	l.frame.Kind = kind
}

// clear forgets what waits; what comes next is a new epoch.
func (l *lane) clear() {
	l.head, l.count, l.bytes, l.began = 0, 0, 0, false
	l.frame.Epoch++
	l.base = l.frame.Timestamp
}

// pass moves what comes later by a time.
func (l *lane) pass(d time.Duration) {
	if l.began {
		l.base += stamp(d, l.format.Clock)
		l.talk = true
	}
}

func (l *lane) full() bool { return l.count == most || l.count > 0 && l.bytes > large }

// put adds a unit. There is room.
func (l *lane) put(at time.Duration, key bool, data []byte) {
	s := &l.slots[(l.head+l.count)%most]
	s.at, s.key, s.data = at, key, append(s.data[:0], data...)
	l.count++
	l.bytes += len(data)
}

func (l *lane) send(s *slot) {
	if l.format == nil {
		return
	}
	if !l.began { // what came before is the base of what comes now
		l.base -= stamp(s.at, l.format.Clock)
	}
	f := &l.frame
	f.Format = l.format
	f.Timestamp = l.base + stamp(s.at, l.format.Clock)
	if l.pack != nil {
		f.Key = s.key
		l.pack.Packets(s.data, l.packet)
		return
	}
	f.Payload, f.Marker = s.data, (l.talk || !l.began) && f.Kind == media.Audio
	l.began, l.talk = true, false
	l.src.Send(f)
	f.Payload = nil
	f.Sequence++
}

// packet sends one of the packets of a picture.
func (l *lane) packet(payload []byte, last bool) {
	l.began = true
	l.frame.Payload, l.frame.Marker = payload, last
	l.src.Send(&l.frame)
	l.frame.Payload = nil
	l.frame.Sequence++
}

func stamp(at time.Duration, clock int) uint32 {
	return uint32(int64(at/time.Second)*int64(clock) + int64(at%time.Second)*int64(clock)/int64(time.Second))
}
