package mix

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/opus"
	"github.com/patchbay/patchbay/media/resample"
)

func registry(tb testing.TB, workers int) *media.Registry {
	reg := media.NewRegistry()
	reg.Register(g711.Conversions()...)
	reg.Register(opus.Conversions()...)
	reg.Register(resample.Conversions()...)
	reg.SetWorkers(workers)
	tb.Cleanup(func() { _ = reg.Close() })
	return reg
}

// member is somebody in a room: what he says and hears, in one format.
type member struct {
	port *Port
	say  *mediatest.Talker
	hear *mediatest.Recorder
	tone [][]byte
	n    int
}

// party is a room whose ticks the test makes.
type party struct {
	t    *testing.T
	reg  *media.Registry
	room *Room
	all  []*member
}

func newParty(t *testing.T, cfg Config) *party {
	cfg.Registry = registry(t, -1)
	clock := media.NewClock()
	clock.Close() // it stands still
	cfg.Clock = clock
	p := &party{t: t, reg: cfg.Registry, room: New(cfg)}
	t.Cleanup(func() { _ = p.room.Close() })
	return p
}

// join adds a member who has a tone to say.
func (p *party) join(f *media.Format, hz, dbm0 float64) *member {
	p.t.Helper()
	port, err := p.room.Add()
	if err != nil {
		p.t.Fatal(err)
	}
	m := &member{port: port, say: mediatest.NewTalker(p.reg, f), hear: mediatest.NewRecorder(f)}
	if hz > 0 {
		m.tone = mediatest.Tone(f, hz, dbm0, 50)
	}
	m.say.Link(port.Sink(media.Pad{}))
	port.Source(media.Pad{}).Link(m.hear)
	p.all = append(p.all, m)
	return m
}

// pass lets time pass: each says 20 ms, then the room mixes.
func (p *party) pass(ticks int) {
	for range ticks {
		for _, m := range p.all {
			if m.tone != nil {
				m.say.Say(m.tone[m.n%len(m.tone)])
				m.n++
			}
		}
		p.room.mix(time.Time{})
	}
}

// settled waits until the room's own goroutine did what it has to.
func (p *party) settled(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// level of a tone in what a member heard since Forget, in dBm0.
func (m *member) level(hz float64) float64 {
	f := m.say.Format
	samples := mediatest.Linear(f, m.hear.Audio())
	if skip := f.Clock / 5; len(samples) > skip {
		samples = samples[skip:] // filters and buffers fill
	}
	peak := g711.A().Peak()
	if f.Codec == "PCMU" {
		peak = g711.Mu().Peak()
	}
	return mediatest.Level(samples, float64(f.Clock), hz, peak)
}

func (p *party) forget() {
	for _, m := range p.all {
		m.hear.Forget()
	}
}

// Each hears the others as loud as they spoke, and not himself, whatever law and rate they have.
func TestEachHearsTheOthers(t *testing.T) {
	p := newParty(t, Config{})
	pcmu, pcma, wide := p.join(media.PCMU(), 400, -15), p.join(media.PCMA(), 850, -20), p.join(media.L16(16000), 1300, -12)
	p.settled("16 kHz", func() bool { return p.room.Rate() == 16000 })
	p.pass(60)
	p.settled("each hears a mix of his own", func() bool {
		return !pcmu.port.shares.Load() && !pcma.port.shares.Load() && !wide.port.shares.Load()
	})
	p.forget()
	p.pass(110)
	for _, c := range []struct {
		who  *member
		name string
		hz   float64
		want float64
	}{
		{pcmu, "PCMU", 850, -20}, {pcmu, "PCMU", 1300, -12}, {pcma, "PCMA", 400, -15}, {pcma, "PCMA", 1300, -12},
		{wide, "16 kHz", 400, -15}, {wide, "16 kHz", 850, -20},
	} {
		if got := c.who.level(c.hz); math.Abs(got-c.want) > 0.3 {
			t.Errorf("%s hears %v Hz at %.2f dBm0, want %v", c.name, c.hz, got, c.want)
		}
	}
	for name, got := range map[string]float64{"PCMU": pcmu.level(400), "PCMA": pcma.level(850), "16 kHz": wide.level(1300)} {
		if got > -55 {
			t.Errorf("%s hears itself at %.1f dBm0", name, got)
		}
	}
}

// What only 48 kHz hold is heard by those who have it, through Opus as through linear PCM; with them gone the room
// goes back to the rate of telephones.
func TestTheHighestRateIsMixed(t *testing.T) {
	p := newParty(t, Config{})
	phone, wide, other := p.join(media.PCMU(), 0, 0), p.join(media.L16(48000), 9000, -10), p.join(media.L16(48000), 0, 0)
	p.settled("48 kHz", func() bool { return p.room.Rate() == 48000 })
	p.pass(60)
	p.settled("the speaker hears a mix of his own", func() bool { return !wide.port.shares.Load() })
	p.forget()
	p.pass(60)
	if got := other.level(9000); math.Abs(got+10) > 0.2 {
		t.Errorf("9 kHz are heard at %.2f dBm0, want -10", got)
	}
	late := p.join(media.PCMA(), 0, 0)
	p.pass(60)
	if got := late.hear.Len(); got < 55 {
		t.Errorf("who came when the room had 48 kHz already heard %d frames of 60", got)
	}
	_ = late.port.Close()
	p.all = p.all[:3]
	if got := phone.level(1000); got > -60 {
		t.Errorf("the phone hears 9 kHz as 1 kHz, at %.1f dBm0", got)
	}
	_ = wide.port.Close()
	_ = other.port.Close()
	p.all = p.all[:1]
	p.settled("8 kHz", func() bool { return p.room.Rate() == 8000 })
	second := p.join(media.PCMA(), 600, -10)
	p.pass(60)
	p.settled("the speaker hears a mix of his own", func() bool { return !second.port.shares.Load() })
	p.forget()
	p.pass(60)
	if got := phone.level(600); math.Abs(got+10) > 0.3 {
		t.Errorf("the other phone is heard at %.2f dBm0, want -10", got)
	}
}

// All who are silent hear one mix, that is coded once for each of their formats.
func TestListenersShareOneEncoder(t *testing.T) {
	reg := registry(t, 1)
	clock := media.NewClock()
	clock.Close()
	r := New(Config{Registry: reg, Clock: clock})
	defer r.Close()
	p := &party{t: t, reg: reg, room: r}
	speaker := p.join(media.L16(48000), 400, -10)
	for range 10 {
		m := p.join(media.L16(48000), 0, 0)
		port := m.port
		port.Source(media.Pad{}).Unlink(m.hear)
		port.Source(media.Pad{}).Link(mediatest.NewRecorder(opus.Format()))
	}
	p.settled("48 kHz", func() bool { return r.Rate() == 48000 })
	p.pass(60)
	p.settled("listeners share a mix", func() bool {
		n := 0
		for _, m := range p.all {
			if m.port.shares.Load() {
				n++
			}
		}
		return n == 10 && !speaker.port.shares.Load()
	})
	if n := reg.Offload().Converters; n != 1 {
		t.Errorf("%d encoders for ten who listen, want 1", n)
	}
}

func TestSilenceIsSharedAndStill(t *testing.T) {
	p := newParty(t, Config{})
	a, b := p.join(media.PCMU(), 0, 0), p.join(media.PCMU(), 400, -56) // the noise of a line
	p.pass(100)
	p.settled("both share a mix", func() bool { return a.port.shares.Load() && b.port.shares.Load() })
	p.forget()
	p.pass(20)
	for _, s := range mediatest.Linear(media.PCMU(), a.hear.Audio()) {
		if s != 0 {
			t.Fatalf("noise is mixed: a sample of %d", s)
		}
	}
}

func TestWhoIsConnectedIsHeard(t *testing.T) {
	p := newParty(t, Config{Chosen: true})
	a, b, c := p.join(media.PCMU(), 400, -10), p.join(media.PCMU(), 850, -10), p.join(media.PCMU(), 1300, -10)
	for _, way := range [][2]*member{{a, c}, {b, c}, {c, c}, {a, b}, {a, b}} {
		if err := p.room.Connect(media.Audio, way[0].port, way[1].port); err != nil {
			t.Fatal(err)
		}
	}
	want := func(step string, m *member, tones ...float64) {
		t.Helper()
		for _, hz := range []float64{400, 850, 1300} {
			heard := false
			for _, w := range tones {
				heard = heard || w == hz
			}
			if got := m.level(hz); heard && math.Abs(got+10) > 0.3 || !heard && got > -60 {
				t.Errorf("%s: %v Hz at %.1f dBm0, heard should be %v", step, hz, got, heard)
			}
		}
	}
	p.pass(60)
	want("nobody", a)
	want("one", b, 400)
	want("all, himself too", c, 400, 850, 1300)
	if err := p.room.Disconnect(a.port, c.port); err != nil {
		t.Fatal(err)
	}
	p.forget()
	p.pass(60)
	want("one less", c, 850, 1300)
	_ = b.port.Close()
	p.forget()
	p.pass(60)
	want("one left", c, 1300)
	if err := p.room.Connect(media.Audio, b.port, c.port); err != ErrStranger {
		t.Errorf("a port that left: %v", err)
	}
	other := New(Config{Clock: p.room.cfg.Clock})
	defer other.Close()
	stranger, _ := other.Add()
	if err := p.room.Disconnect(stranger, c.port); err != ErrStranger {
		t.Errorf("another room's port: %v", err)
	}
}

func TestSumsAreCutAtFullScale(t *testing.T) {
	p := newParty(t, Config{Chosen: true})
	c := p.join(media.L16(8000), 0, 0)
	for range 4 {
		if err := p.room.Connect(media.Audio, p.join(media.L16(8000), 400, 2).port, c.port); err != nil {
			t.Fatal(err)
		}
	}
	p.pass(50)
	var most, least int16
	last := int16(0)
	for _, s := range mediatest.Linear(media.L16(8000), c.hear.Audio()) {
		most, least = max(most, s), min(least, s)
		if int(s)-int(last) > 50000 || int(last)-int(s) > 50000 {
			t.Fatalf("from %d to %d: it wrapped", last, s)
		}
		last = s
	}
	if most != math.MaxInt16 || least != math.MinInt16 {
		t.Errorf("from %d to %d", least, most)
	}
}

func TestActiveSpeaker(t *testing.T) {
	var mu sync.Mutex
	var told []*Port
	p := newParty(t, Config{Speaker: func(p *Port) { mu.Lock(); told = append(told, p); mu.Unlock() }})
	last := func() *Port {
		mu.Lock()
		defer mu.Unlock()
		if len(told) == 0 {
			return nil
		}
		return told[len(told)-1]
	}
	a, b := p.join(media.PCMU(), 400, -20), p.join(media.PCMU(), 0, 0)
	p.pass(40)
	p.settled("one speaks", func() bool { return last() == a.port && p.room.Speaker() == a.port })
	b.tone = mediatest.Tone(media.PCMU(), 800, -19, 50) // no louder: whoever has the floor keeps it
	p.pass(100)
	if p.room.Speaker() != a.port {
		t.Error("another took the floor without being louder")
	}
	b.tone = mediatest.Tone(media.PCMU(), 800, -10, 50)
	p.pass(10)
	if p.room.Speaker() != a.port {
		t.Error("another took the floor with a cough")
	}
	p.pass(60)
	p.settled("louder", func() bool { return last() == b.port })
	b.tone = nil
	p.pass(60)
	p.settled("the other is silent", func() bool { return last() == a.port })
	_ = a.port.Close()
	p.settled("left", func() bool { return last() == nil })
}

func TestRoomIsAnElement(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) {
		clock := media.NewClock()
		r := New(Config{Clock: clock})
		p, err := r.Add()
		if err != nil {
			t.Fatal(err)
		}
		return p, func() { _ = r.Close(); clock.Close() }
	})
}

// A room in which nobody speaks or listens rests, so that thousands of them hold up nobody; whoever comes finds it awake.
func TestRoomRests(t *testing.T) {
	r := newParty(t, Config{}).room
	a, err := r.Add()
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Add()
	if err != nil {
		t.Fatal(err)
	}
	ticks := func(n int) (passed uint16) {
		before := r.seq
		for range n {
			r.mix(time.Time{})
		}
		return r.seq - before
	}
	if n := ticks(2 * rests); int(n) != rests-1 {
		t.Errorf("%d ticks were mixed for nobody, want %d", n, rests-1)
	}
	say := mediatest.NewTalker(nil, media.L16(8000))
	say.Link(a.Sink(media.Pad{}))
	if n := ticks(2 * rests); int(n) != 2*rests {
		t.Errorf("%d ticks were mixed of %d while somebody could speak", n, 2*rests)
	}
	say.Close()
	ticks(rests)
	if level := a.Level(); level > -90 {
		t.Errorf("a room that rests tells a level of %.1f dB", level)
	}
	hear := mediatest.NewRecorder(media.L16(8000))
	b.Source(media.Pad{}).Link(hear)
	if n := ticks(10); n != 10 || hear.Len() == 0 {
		t.Errorf("of 10 ticks %d were mixed, %d heard by who came to listen", n, hear.Len())
	}
}

func TestClosedRoom(t *testing.T) {
	clock := media.NewClock()
	defer clock.Close()
	r := New(Config{Clock: clock})
	p, _ := r.Add()
	k := mediatest.NewRecorder(media.L16(8000))
	p.Source(media.Pad{}).Link(k)
	k.Wait(t, 3, 10*time.Second)
	for what, e := range map[string]interface{ Close() error }{"room": r, "room again": r, "port of a closed room": p} {
		if err := e.Close(); err != nil {
			t.Errorf("close of the %s: %v", what, err)
		}
	}
	n := k.Len()
	time.Sleep(50 * time.Millisecond)
	if k.Len() != n {
		t.Error("a closed room mixes")
	}
	if _, err := r.Add(); err != ErrClosed {
		t.Errorf("a port of a closed room: %v", err)
	}
}

// A tick of a room whose members all speak.
func BenchmarkMix(b *testing.B) {
	for _, c := range []struct {
		name    string
		members int
		rate    int
	}{{"20 at 16 kHz", 20, 16000}, {"100 at 16 kHz", 100, 16000}, {"100 at 48 kHz", 100, 48000}} {
		b.Run(c.name, func(b *testing.B) {
			clock := media.NewClock()
			clock.Close()
			r := New(Config{Clock: clock})
			defer r.Close()
			f := media.L16(c.rate)
			var in []*media.Source
			for range c.members {
				p, _ := r.Add()
				s := media.NewSource(nil, nil)
				s.SetFormats(f)
				s.Link(p.Sink(media.Pad{}))
				in = append(in, s)
				p.Source(media.Pad{}).Link(mediatest.NewCounter(f))
			}
			for r.Rate() != c.rate {
				time.Sleep(time.Millisecond)
			}
			fr := media.Frame{Format: f, Payload: make([]byte, c.rate/50*2)}
			for i := range c.rate / 50 {
				binary.BigEndian.PutUint16(fr.Payload[2*i:], uint16(i*10))
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, s := range in {
					s.Send(&fr)
				}
				fr.Timestamp += uint32(c.rate / 50)
				r.mix(time.Time{})
			}
		})
	}
}
