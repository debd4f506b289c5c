package media_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// closing is an element that notes its close.
type closing struct {
	node
	name string
	err  error
	log  *[]string
	do   func()
}

func (c *closing) Close() error {
	*c.log = append(*c.log, c.name)
	if c.do != nil {
		c.do()
	}
	return c.err
}

func TestPipelineClosesTheYoungestFirst(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p := media.NewPipeline(media.Config{})
	var log []string
	bad := errors.New("disk is full")
	for _, e := range []*closing{{name: "a"}, {name: "b", err: bad}, {name: "c"}, {name: "d"}} {
		e.log = &log
		if err := p.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	clock := p.Clock()
	if clock != p.Clock() {
		t.Error("each call makes another clock")
	}
	clock.Every(func(time.Time) {})
	third := p.Elements()[2]
	if err := p.Remove(third); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(third); err != nil || len(log) != 1 {
		t.Errorf("removed twice: %v, closed %v", err, log)
	}
	if err := p.Close(); !errors.Is(err, bad) {
		t.Errorf("close: %v, want %v", err, bad)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if want := []string{"c", "d", "b", "a"}; !slices.Equal(log, want) {
		t.Errorf("closed %v, want %v", log, want)
	}
	late := &closing{name: "late", log: &log}
	if err := p.Add(late); !errors.Is(err, media.ErrClosed) || log[len(log)-1] != "late" {
		t.Errorf("add to a closed pipeline: %v, closed %v", err, log)
	}
	p.Clock().Every(func(time.Time) { t.Error("the clock of a closed pipeline ticks") })()
}

func TestPipelineCloseWaitsForTheOther(t *testing.T) {
	p := media.NewPipeline(media.Config{})
	var log []string
	entered, leave := make(chan struct{}), make(chan struct{})
	p.Add(&closing{name: "slow", log: &log, do: func() { close(entered); <-leave }})
	var wg sync.WaitGroup
	wg.Go(func() { p.Close() })
	<-entered
	second := make(chan struct{})
	wg.Go(func() { p.Close(); close(second) })
	select {
	case <-second:
		t.Error("the second close returned before all was still")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	wg.Wait()
}

func TestPipelineLinks(t *testing.T) {
	p := media.NewPipeline(media.Config{})
	defer p.Close()
	u := media.PCMU()
	a, b := mediatest.NewTalker(nil, u), mediatest.NewTalker(nil, u)
	ka, kb := mediatest.NewRecorder(u), mediatest.NewRecorder(u)
	ea := &node{sinks: []media.Sink{ka}, sources: []*media.Source{a.Source}}
	eb := &node{sinks: []media.Sink{kb}, sources: []*media.Source{b.Source}}
	p.Add(ea)
	p.Add(eb)
	if err := p.Bridge(ea, eb, media.Pad{}); err != nil {
		t.Fatal(err)
	}
	a.Say([]byte{1})
	b.Say([]byte{2})
	if string(kb.Audio()) != "\x01" || string(ka.Audio()) != "\x02" {
		t.Errorf("heard %v and %v", ka.Audio(), kb.Audio())
	}
	p.Unbridge(ea, eb, media.Pad{})
	if ka.Linked() || kb.Linked() {
		t.Error("linked after Unbridge")
	}
	if err := p.Link(ea, eb, media.Pad{Kind: media.Video}); err == nil {
		t.Error("a link of pads that don't exist")
	}
	p.Bridge(ea, eb, media.Pad{})
	p.Remove(ea)
	if ka.Linked() || kb.Linked() || len(b.Sinks()) != 0 {
		t.Error("an element that was removed is linked")
	}
	p.Link(eb, ea, media.Pad{})
	if ka.Linked() {
		t.Error("an element that was removed can be linked")
	}
}

// many is an element with two sinks of a kind.
type many struct {
	node
	a, b mediatest.Recorder
}

func (m *many) Pads() []media.Pad { return []media.Pad{{Name: "a"}, {Name: "b"}} }
func (m *many) Sink(p media.Pad) media.Sink {
	switch p.Name {
	case "a":
		return &m.a
	case "b":
		return &m.b
	}
	return nil
}

func TestNamedPadsAreRenegotiatedAndShut(t *testing.T) {
	p := media.NewPipeline(media.Config{})
	m := new(many)
	p.Add(m)
	s := mediatest.NewTalker(nil, media.PCMU())
	s.Link(&m.a)
	s.Link(&m.b)
	m.a.Take(media.PCMU())
	m.b.Take(media.PCMU())
	p.Renegotiate(m)
	s.Say([]byte{1})
	if m.a.Len() != 1 || m.b.Len() != 1 {
		t.Errorf("%d and %d frames, want 1 and 1", m.a.Len(), m.b.Len())
	}
	p.Close()
	if len(s.Sinks()) != 0 {
		t.Error("named pads are linked after close")
	}
}
