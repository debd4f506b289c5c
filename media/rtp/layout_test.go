package rtp

import (
	"github.com/patchbay/patchbay/media/rtpstream"
	"testing"
	"unsafe"
)

// What a packet touches of an endpoint lies on few lines of the cache. Most of what a relayed packet costs beside the
// kernel is waiting for memory, so a field that lands elsewhere is paid for with every packet of every call.
func TestLayout(t *testing.T) {
	const line = 64
	d := newDesk(t, nil)
	e := d.Endpoint
	at := func(p unsafe.Pointer, size uintptr) (first, last uintptr) {
		o := uintptr(p) - uintptr(unsafe.Pointer(e)) + uintptr(unsafe.Pointer(e))%line
		return o / line, (o + size - 1) / line
	}
	r, s := &e.in, &e.sink
	for _, c := range []struct {
		name string
		from unsafe.Pointer
		to   uintptr
		want uintptr
	}{
		// The last 16 bytes of the source, up to the sequence's last hot field.
		{"way in", unsafe.Add(unsafe.Pointer(r), -16), 16 + unsafe.Offsetof(r.seq) + rtpstream.HotSize, linesIn},
		// Up to the 32 bytes that the Inlet says are touched.
		{"way out", unsafe.Pointer(s), unsafe.Offsetof(s.Inlet) + 32, linesOut},
	} {
		first, last := at(c.from, c.to)

		if n := last - first + 1; n > c.want {
			t.Errorf("%s: %d bytes on %d lines, expected %d", c.name, c.to, n, c.want)
		}
	}

}
