package kurento_test

import (
	"runtime"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// What clients create, connect and release leaves nothing behind.
func TestCycles(t *testing.T) {
	u := media.PCMU()
	r := newRig(t, kurento.Config{}, voices("Voice", media.Pad{}, u, u))
	payload := make([]byte, 160)
	cycle := func(i int) {
		pipe := r.make("MediaPipeline", "{}")
		in := `{"mediaPipeline":"` + pipe.ID() + `"}`
		from, through, to, hub := r.make("Voice", in), r.make("PassThrough", in), r.make("Voice", in), r.make("Dispatcher", in)
		p, q := r.make("HubPort", `{"hub":"`+hub.ID()+`"}`), r.make("HubPort", `{"hub":"`+hub.ID()+`"}`)
		e := r.listen(from, "ElementConnected", "MediaFlowOutStateChanged")
		r.call(hub, "connect", `{"source":"`+p.ID()+`","sink":"`+q.ID()+`"}`)
		r.call(from, "connect", `{"sink":"`+through.ID()+`"}`)
		r.call(through, "connect", `{"sink":"`+p.ID()+`"}`)
		r.call(q, "connect", `{"sink":"`+to.ID()+`","mediaType":"AUDIO"}`)
		voiceOf(from).say.Say(payload)
		if n := voiceOf(to).hear.Len(); n != 1 || len(e.take()) < 3 {
			t.Fatalf("cycle %d: %d frames came", i, n)
		}
		if i%2 == 0 {
			r.call(from, "disconnect", `{"sink":"`+through.ID()+`"}`)
			r.a.Release(through.ID())
			r.a.Release(hub.ID())
		}
		r.a.Release(pipe.ID())
	}
	measure := func() (goroutines int, heap uint64) {
		var m runtime.MemStats
		for range 2 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	for i := range 100 {
		cycle(i)
	}
	goroutines, heap := measure()
	for i := range 2000 {
		cycle(i)
	}
	g, h := measure()
	if g > goroutines+5 {
		t.Errorf("%d goroutines after 2,000 cycles, %d before", g, goroutines)
	}
	if h > heap+10<<20 {
		t.Errorf("%d kB of heap after 2,000 cycles, %d kB before", h>>10, heap>>10)
	}
	if n := len(r.a.Objects("MediaObject")); n != 2 { // the manager, and the rig's pipeline
		t.Errorf("%d objects are there, want 2", n)
	}
	t.Logf("goroutines %d to %d, heap %d kB to %d kB", goroutines, g, heap>>10, h>>10)
}
