package container

import (
	"bytes"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// VP8 in MP4 is read, which hardly anybody writes: the sample entry is VP9's, but for its name.
func TestMP4OfVP8(t *testing.T) {
	out := &written{}
	w, err := NewMP4(out, []Track{{Format: opusFormat()}, {Format: media.VideoFormat("VP9", ""), Width: 320, Height: 180}})
	if err != nil {
		t.Fatal(err)
	}
	list := script()
	for i := range list {
		if err := w.Write(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(memory{Reader: bytes.NewReader(bytes.ReplaceAll(out.b, []byte("vp09"), []byte("vp08")))}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if tr := r.Tracks()[1]; tr.Format == nil || tr.Format.Codec != "VP8" || tr.Width != 320 {
		t.Errorf("track %+v", tr)
	}
	is, should := of(units(t, r), 1), of(list, 1)
	if len(is) != len(should) || !bytes.Equal(is[5].Data, should[5].Data) || is[10].Key != should[10].Key {
		t.Errorf("%d pictures, want %d", len(is), len(should))
	}
}
