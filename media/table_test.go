package media

import (
	"testing"
	"unsafe"
)

// What a frame on the most common way touches of a table is on one line of the cache.
func TestTableLayout(t *testing.T) {
	var b table
	if end := unsafe.Offsetof(b.first) + unsafe.Sizeof(b.first); end > 64 {
		t.Errorf("the head has %d bytes, expected 64 at most", end)
	}
	if n := unsafe.Sizeof(b); n != 128 {
		t.Errorf("a table has %d bytes, expected 128, which the allocator aligns", n)
	}
	var in Inlet
	if end := unsafe.Offsetof(in.epoch) + unsafe.Sizeof(in.epoch); end > 32 {
		t.Errorf("a frame touches %d bytes of an Inlet, expected 32", end)
	}
	var s Source
	if from := unsafe.Offsetof(s.sending); unsafe.Sizeof(s)-from > 16 {
		t.Errorf("a frame touches the last %d bytes of a Source, expected 16", unsafe.Sizeof(s)-from)
	}
}

type warmSink struct {
	Inlet
	caps   *Caps
	warmed int
}

func (k *warmSink) Caps() *Caps { return k.caps }
func (k *warmSink) Push(*Frame) {}
func (k *warmSink) Warm()       { k.warmed++ }

// Warm reaches the sink of the head, while it is linked.
func TestWarm(t *testing.T) {
	u := PCMU()
	s := NewSource(nil, nil)
	s.Warm()
	k := &warmSink{caps: &Caps{Formats: []*Format{u}}}
	s.SetFormats(u)
	s.Link(k)
	s.Warm()
	if k.warmed != 1 {
		t.Errorf("the sink was warmed %d times, expected once", k.warmed)
	}
	s.Unlink(k)
	s.Warm()
	if k.warmed != 1 {
		t.Error("a sink that isn't linked was warmed")
	}
}
