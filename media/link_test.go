package media_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

// counting is a registry whose PCMU to PCMA conversions are counted.
func counting() (*media.Registry, *atomic.Int64) {
	var n atomic.Int64
	reg := media.NewRegistry()
	for _, c := range g711.Conversions() {
		made := c.New
		c.New = func() media.Converter { return &counted{made(), &n} }
		reg.Register(c)
	}
	return reg, &n
}

type counted struct {
	media.Converter
	n *atomic.Int64
}

func (c *counted) Convert(dst, src *media.Frame) bool {
	c.n.Add(1)
	return c.Converter.Convert(dst, src)
}

func TestRelayIsTheSameBytes(t *testing.T) {
	reg, conversions := counting()
	from := mediatest.NewTalker(reg, media.PCMU())
	mine := media.PCMU()
	mine.Tag = 7
	// The sink likes another format better, but relaying comes first.
	k := mediatest.NewRecorder(media.PCMA(), mine)
	from.Link(k)
	payload := make([]byte, 256)
	for i := range payload {
		payload[i] = byte(i)
	}
	from.Say(payload)
	from.Say(payload)
	got := k.Frames()
	if len(got) != 2 || conversions.Load() != 0 {
		t.Fatalf("%d frames came, %d conversions", len(got), conversions.Load())
	}
	for i, f := range got {
		if !bytes.Equal(f.Payload, payload) || f.Format != mine || f.Sequence != uint16(1000+i) ||
			f.Timestamp != uint32(160000+160*i) || f.Marker != (i == 0) || f.Epoch != got[0].Epoch {
			t.Errorf("frame %d: %+v", i, f)
		}
	}
}

func TestSinksOfOneFormatShareAConversion(t *testing.T) {
	reg, conversions := counting()
	from := mediatest.NewTalker(reg, media.PCMU())
	a, b, c := mediatest.NewRecorder(media.PCMA()), mediatest.NewRecorder(media.PCMA()), mediatest.NewRecorder(media.PCMU())
	from.Link(a)
	from.Link(b)
	from.Link(c)
	in := mediatest.Tone(media.PCMU(), 440, -10, 10)
	for _, p := range in {
		from.Say(p)
	}
	if n := conversions.Load(); n != 10 {
		t.Errorf("%d conversions of 10 frames for two sinks, want 10", n)
	}
	for i := range in {
		want := g711.Mu().Cross(nil, in[i])
		if !bytes.Equal(a.Frames()[i].Payload, want) || !bytes.Equal(b.Frames()[i].Payload, want) {
			t.Fatalf("frame %d isn't the other law's", i)
		}
		if !bytes.Equal(c.Frames()[i].Payload, in[i]) {
			t.Fatalf("frame %d isn't the same for the sink of the same law", i)
		}
	}
	if p := from.Path(a); len(p) != 1 || !p[0].Converted || p[0].To.Codec != "PCMA" {
		t.Errorf("path %+v", p)
	}
	from.Unlink(a)
	from.Unlink(b)
	from.Say(in[0])
	if n := conversions.Load(); n != 10 {
		t.Errorf("converts for nobody")
	}
}

// A converter lives through changes of routes while somebody needs it.
func TestConverterKeepsItsState(t *testing.T) {
	var made atomic.Int64
	reg := media.NewRegistry()
	reg.Register(media.Conversion{From: media.PCMU(), To: media.PCMA(), Cost: 1, New: func() media.Converter {
		made.Add(1)
		return g711.Conversions()[0].New()
	}})
	from := mediatest.NewTalker(reg, media.PCMU())
	a, b := mediatest.NewRecorder(media.PCMA()), mediatest.NewRecorder(media.PCMA())
	from.Link(a)
	from.Link(b)
	from.Unlink(a)
	from.Link(a)
	if made.Load() != 1 {
		t.Errorf("%d converters made, want 1", made.Load())
	}
	from.Unlink(a)
	from.Unlink(b)
	from.Link(a)
	if made.Load() != 2 {
		t.Errorf("%d converters made after the last sink went and one came, want 2", made.Load())
	}
}

func TestFormatSwitchesMidStream(t *testing.T) {
	reg, conversions := counting()
	u, a := media.PCMU(), media.PCMA()
	s := media.NewSource(reg, nil)
	s.SetFormats(u, a)
	k := mediatest.NewRecorder(media.PCMA())
	s.Link(k)
	pu, pa := mediatest.Tone(u, 440, -10, 1)[0], mediatest.Tone(a, 440, -10, 1)[0]
	s.Send(&media.Frame{Format: u, Payload: pu})
	s.Send(&media.Frame{Format: a, Payload: pa})
	s.Send(&media.Frame{Format: media.PCMA(), Payload: pa}) // not one of the source's pointers
	if got := k.Frames(); len(got) != 2 || !bytes.Equal(got[0].Payload, g711.Mu().Cross(nil, pu)) || !bytes.Equal(got[1].Payload, pa) {
		t.Fatalf("got %+v", got)
	}
	if conversions.Load() != 1 || s.Dropped() != 1 {
		t.Errorf("%d conversions, %d dropped, want 1 and 1", conversions.Load(), s.Dropped())
	}
	s.SetFormats(a)
	s.Send(&media.Frame{Format: u, Payload: pu})
	if k.Len() != 2 {
		t.Error("a format that the source doesn't send any more came through")
	}
}

type node struct {
	sinks   []media.Sink
	sources []*media.Source
}

func (n *node) Source(p media.Pad) *media.Source {
	if p == (media.Pad{}) && len(n.sources) > 0 {
		return n.sources[0]
	}
	return nil
}

func (n *node) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) && len(n.sinks) > 0 {
		return n.sinks[0]
	}
	return nil
}
func (n *node) Stats(*media.Snapshot) {}
func (n *node) Close() error          { return nil }

func TestLinkBeforeSDP(t *testing.T) {
	reg, _ := counting()
	s := media.NewSource(reg, nil)
	k := mediatest.NewRecorder()
	s.Link(k)
	u := media.PCMU()
	frame := &media.Frame{Format: u, Payload: []byte{1, 2, 3}}
	s.Send(frame)
	s.SetFormats(u)
	s.Send(frame)
	if k.Len() != 0 {
		t.Fatal("frames came before the sink took any")
	}
	k.Take(media.PCMU())
	media.Renegotiate(&node{sinks: []media.Sink{k}})
	s.Send(frame)
	if k.Len() != 1 {
		t.Fatal("nothing came after the sink's formats were known")
	}
	k.Take(media.PCMA())
	s.Send(frame) // the old route stands until it is told
	media.Renegotiate(&node{sinks: []media.Sink{k}})
	s.Send(frame)
	got := k.Frames()
	if len(got) != 3 || got[1].Format.Codec != "PCMU" || got[2].Format.Codec != "PCMA" {
		t.Fatalf("got %+v", got)
	}
}

func TestEventsTravelBesideConverters(t *testing.T) {
	reg, conversions := counting()
	u, ev := media.PCMU(), media.TelephoneEvent(8000)
	s := media.NewSource(reg, nil)
	s.SetFormats(u, ev)
	k := mediatest.NewRecorder(media.PCMA(), media.TelephoneEvent(8000))
	deaf := mediatest.NewRecorder(media.PCMA())
	s.Link(k)
	s.Link(deaf)
	s.Send(&media.Frame{Format: u, Payload: []byte{1, 2}})
	s.Send(&media.Frame{Kind: media.Event, Format: ev, Payload: []byte{5, 0x8a, 3, 0x20}})
	got := k.Frames()
	if len(got) != 2 || got[1].Kind != media.Event || !bytes.Equal(got[1].Payload, []byte{5, 0x8a, 3, 0x20}) {
		t.Fatalf("got %+v", got)
	}
	if conversions.Load() != 1 || deaf.Len() != 1 {
		t.Errorf("%d conversions, want 1; the sink without events got %d frames, want 1", conversions.Load(), deaf.Len())
	}
	if s.Wanted() != nil {
		t.Errorf("wanted %s, but no sink takes PCMU as it is", s.Wanted())
	}
}

func TestWanted(t *testing.T) {
	u, a, l := media.PCMU(), media.PCMA(), media.L16(8000)
	s := media.NewSource(nil, nil)
	s.SetFormats(u, a, l)
	if s.Wanted() != nil {
		t.Error("wanted without sinks")
	}
	first := mediatest.NewRecorder(media.PCMA(), media.PCMU())
	s.Link(first)
	if s.Wanted() != a {
		t.Errorf("wanted %s, want what the sink likes best", s.Wanted())
	}
	second := mediatest.NewRecorder(media.PCMU())
	s.Link(second)
	if s.Wanted() != u {
		t.Errorf("wanted %s, want what both take", s.Wanted())
	}
	s.Unlink(first)
	s.Unlink(second)
	other := media.NewSource(nil, nil)
	other.SetFormats(media.L16(8000))
	other.Link(mediatest.NewRecorder(media.L16(8000)))
	other.Override(s)
	if s.Wanted() != l {
		t.Errorf("wanted %s, want what the sinks of the overridden take", s.Wanted())
	}
}

func TestEpochs(t *testing.T) {
	a, b := mediatest.NewTalker(nil, media.PCMU()), mediatest.NewTalker(nil, media.PCMU())
	k := mediatest.NewRecorder(media.PCMU())
	p := []byte{1}
	epoch := func() uint32 {
		f := k.Frames()
		return f[len(f)-1].Epoch
	}
	a.Link(k)
	a.Say(p)
	one := epoch()
	a.Say(p)
	if epoch() != one {
		t.Error("epoch changed within a stream")
	}
	step := func(what string, do func()) {
		before := epoch()
		do()
		if epoch() == before {
			t.Errorf("epoch is the same after %s", what)
		}
	}
	step("another stream of the source", func() { a.Anew(); a.Say(p) })
	step("another source", func() { b.Link(k); b.Say(p) })
	step("an override", func() { b.Override(a.Source); a.Say(p) })
	n := k.Len()
	b.Say(p)
	if k.Len() != n {
		t.Error("an overridden source was heard")
	}
	k2 := mediatest.NewRecorder(media.PCMU())
	b2 := mediatest.NewTalker(nil, media.PCMU())
	b2.Link(k2)
	b2.Say(p)
	before := k2.Frames()[0].Epoch
	b2.Unlink(k2)
	b2.Say(p)
	b2.Link(k2)
	b2.Say(p)
	if f := k2.Frames(); len(f) != 2 || f[1].Epoch == before {
		t.Errorf("a link made anew must show in the epoch: %+v", f)
	}
}

func TestASinkHasOneSource(t *testing.T) {
	a, b := mediatest.NewTalker(nil, media.PCMU()), mediatest.NewTalker(nil, media.PCMU())
	k := mediatest.NewRecorder(media.PCMU())
	a.Link(k)
	a.Link(k)
	a.Say([]byte{1})
	b.Link(k)
	a.Say([]byte{2})
	b.Say([]byte{3})
	if got := k.Audio(); !bytes.Equal(got, []byte{1, 3}) {
		t.Errorf("heard %v, want 1 and 3", got)
	}
	if len(a.Sinks()) != 0 || len(b.Sinks()) != 1 {
		t.Errorf("%d and %d sinks, want 0 and 1", len(a.Sinks()), len(b.Sinks()))
	}
	a.Unlink(k) // not its sink
	if !k.Linked() {
		t.Error("another source's unlink ended the link")
	}
}

func TestClosedSource(t *testing.T) {
	a, b := mediatest.NewTalker(nil, media.PCMU()), mediatest.NewTalker(nil, media.PCMU())
	k := mediatest.NewRecorder(media.PCMU())
	a.Link(k)
	a.Close()
	a.Close()
	a.Say([]byte{1})
	a.Link(k)
	if k.Linked() || k.Len() != 0 || len(a.Sinks()) != 0 {
		t.Error("a closed source is linked or heard")
	}
	b.Link(k)
	restore := b.Override(a.Source)
	b.Say([]byte{2})
	restore()
	if k.Len() != 1 {
		t.Error("a closed source overrides")
	}
	k.Detach()
	b.Link(k)
	b.Say([]byte{3})
	if k.Linked() || k.Len() != 1 {
		t.Error("a detached sink is linked or fed")
	}
}

// circle is a filter that pushes on what it gets.
type circle struct{ media.Filter }

func (c *circle) Sink(media.Pad) media.Sink { return c }

func TestCirclesEnd(t *testing.T) {
	a, b := new(circle), new(circle)
	u := media.PCMU()
	a.Init(nil, u)
	b.Init(nil, u)
	a.Source(media.Pad{}).Link(b)
	b.Source(media.Pad{}).Link(a)
	k := mediatest.NewRecorder(u)
	b.Source(media.Pad{}).Link(k)
	a.Send(&media.Frame{Format: u, Payload: []byte{1}})
	if k.Len() != 1 || a.Source(media.Pad{}).Dropped() != 1 {
		t.Errorf("%d frames came through, %d dropped, want 1 and 1", k.Len(), a.Source(media.Pad{}).Dropped())
	}
	a.Send(&media.Frame{Format: u, Payload: []byte{2}})
	if k.Len() != 2 {
		t.Error("the circle is stuck")
	}
	self := new(circle)
	self.Init(nil, u)
	self.Source(media.Pad{}).Link(self)
	self.Send(&media.Frame{Format: u, Payload: []byte{1}})
}

// guarded is a sink that notices frames after Unlink, and two at once.
type guarded struct {
	media.Inlet
	caps   *media.Caps
	inside atomic.Int32
	open   atomic.Bool
	late   atomic.Int64
	twice  atomic.Int64
	frames atomic.Int64
	sum    int // not atomic: the race detector watches that Push is single
}

func (g *guarded) Caps() *media.Caps { return g.caps }
func (g *guarded) Push(f *media.Frame) {
	if g.inside.Add(1) != 1 {
		g.twice.Add(1)
	}
	if !g.open.Load() {
		g.late.Add(1)
	}
	g.sum += int(f.Payload[0])
	g.frames.Add(1)
	g.inside.Add(-1)
}

// After Unlink no frame is in the sink, and Push is single, whatever changes at the same time.
func TestUnlinkUnderFire(t *testing.T) {
	reg, _ := counting()
	u := media.PCMU()
	k := &guarded{caps: &media.Caps{Formats: []*media.Format{media.PCMA()}}}
	var talkers []*mediatest.Talker
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		s := mediatest.NewTalker(reg, u)
		talkers = append(talkers, s)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.Say([]byte{1})
				}
			}
		})
	}
	wg.Go(func() {
		other := mediatest.NewRecorder(media.PCMU())
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			restore := talkers[i%3].Override(talkers[(i+1)%3].Source)
			talkers[i%3].Link(other)
			media.Renegotiate(&node{sinks: []media.Sink{other}, sources: []*media.Source{talkers[i%3].Source}})
			talkers[i%3].SetFormats(u)
			restore()
		}
	})
	for i := range 200 {
		k.open.Store(true)
		talkers[i%3].Link(k)
		for n := k.frames.Load(); i%20 == 0 && k.frames.Load() == n; time.Sleep(10 * time.Microsecond) {
			// somebody is heard
		}
		talkers[i%3].Unlink(k)
		k.open.Store(false)
	}
	close(stop)
	wg.Wait()
	if k.late.Load() != 0 || k.twice.Load() != 0 {
		t.Errorf("%d frames after unlink, %d pushes at once", k.late.Load(), k.twice.Load())
	}
	if k.frames.Load() < 10 {
		t.Errorf("only %d frames came", k.frames.Load())
	}
}
