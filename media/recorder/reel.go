package recorder

import (
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/video"
)

// awaited is how long a packet that is missing is waited for: it may be sent again.
const awaited = 400 * time.Millisecond

// reel makes pictures out of the packets of the film, in their order, and leaves out those that can't be decoded.
type reel struct {
	tape    *tape
	unpack  *video.Unpacker
	codec   string
	packets []packet // that wait, in order
	begun   bool
	epoch   uint32
	next    uint16 // number of the packet that is due
	waits   bool   // for a key picture
	asked   time.Time

	stamp uint32 // of the picture that is put together
	at    time.Duration
	parts int
	prior time.Duration // where the picture before began
	shown bool          // the file has the track
}

// packet is a frame with its payload.
type packet struct {
	media.Frame
	at   time.Duration
	came time.Time
}

// drain takes what waits in the film; at the end it waits for nothing that is missing.
func (l *reel) drain(end bool) error {
	now := time.Now()
	r := l.tape.r
	for {
		r.mu.Lock()
		data, at, f, ok := r.film.ring.take(nil)
		r.mu.Unlock()
		if !ok {
			break
		}
		f.Payload = data
		l.sort(packet{f, at, now})
	}
	n := 0
	defer func() { l.packets = append(l.packets[:0], l.packets[n:]...) }()
	for ; n < len(l.packets); n++ {
		p := &l.packets[n]
		switch gap := int16(p.Sequence - l.next); {
		case !l.begun || p.Epoch != l.epoch:
			l.begun, l.epoch = true, p.Epoch
			l.lost()
		case gap < 0:
			continue
		case gap > 0 && !end && now.Sub(p.came) < awaited && len(l.packets) < filmSlots:
			return nil
		case gap > 0:
			l.lost()
		}
		l.next = p.Sequence + 1
		if err := l.add(p); err != nil {
			return err
		}
	}
	return nil
}

// sort puts a packet in its place.
func (l *reel) sort(p packet) {
	i := len(l.packets)
	l.packets = append(l.packets, p)
	for ; i > 0; i-- {
		q := &l.packets[i-1]
		if q.Epoch != p.Epoch || int16(q.Sequence-p.Sequence) < 0 {
			break
		}
		l.packets[i] = *q
	}
	l.packets[i] = p
}

// lost has all be left out up to the next key picture.
func (l *reel) lost() {
	if l.unpack != nil {
		l.unpack.Take()
	}
	l.parts, l.waits = 0, true
}

// ask asks for a key picture.
func (l *reel) ask() {
	if now := time.Now(); now.Sub(l.asked) >= askEvery {
		l.asked = now
		l.tape.r.film.Upstream(media.Feedback{Kind: media.KeyFrame})
	}
}

// add adds a packet to its picture.
func (l *reel) add(p *packet) error {
	if l.unpack == nil {
		l.codec = p.Format.Codec
		l.unpack = video.NewUnpacker(l.codec)
	}
	if l.parts > 0 && p.Timestamp != l.stamp { // without a marker
		if err := l.picture(); err != nil {
			return err
		}
	}
	if l.parts == 0 {
		l.stamp, l.at = p.Timestamp, p.at
	}
	l.parts++
	l.unpack.Add(p.Payload)
	if p.Marker {
		return l.picture()
	}
	return nil
}

// picture ends one, and writes it.
func (l *reel) picture() error {
	l.parts = 0
	data, ok := l.unpack.Take()
	width, height, key := video.Size(l.codec, data)
	switch {
	case !ok:
		l.waits = true
	case key:
		l.waits = false
		if err := l.describe(width, height); err != nil {
			return err
		}
	}
	if l.waits || !l.shown {
		l.ask()
		return nil
	}
	u := container.Unit{Track: videoTrack, At: l.at, For: min(max(l.at-l.prior, 0), 100*time.Millisecond), Key: key, Data: data}
	l.prior = l.at
	return l.tape.write(&u)
}

// describe says in the file what the first key picture needs.
func (l *reel) describe(width, height int) error {
	setup := l.unpack.Setup()
	w, ok := l.tape.w.(describer)
	needs := l.codec == "H264" || l.codec == "H265" || l.codec == "AV1"
	if !ok || l.shown || width == 0 || needs && setup == nil {
		return nil // what comes later says its size, and has its parameter sets, in the pictures
	}
	l.shown = true
	return w.Describe(videoTrack, container.Track{Format: media.VideoFormat(l.codec, ""), Setup: setup, Width: width, Height: height})
}
