package media

import "testing"

// A sink gets one layer of a simulcast: the largest that it can take, from a key picture of it on, and its epoch changes there.
func TestLayers(t *testing.T) {
	var asked []Feedback
	src := NewSource(nil, func(fb Feedback) { asked = append(asked, fb) })
	vp8 := VideoFormat("VP8", "")
	src.SetFormats(vp8)
	k := &layerSink{caps: &Caps{[]*Format{VideoFormat("VP8", "")}}}
	src.Link(k)
	now := int64(1e9)
	send := func(layer uint8, size int, key bool) {
		src.Send(&Frame{Kind: Video, Format: vp8, Payload: make([]byte, size), Arrival: now, Epoch: 1, Layer: layer, Key: key})
	}
	second := func() { // 8 kbit/s, 80 kbit/s, 800 kbit/s
		for range 10 {
			for layer, size := uint8(1), 100; layer <= 3; layer, size = layer+1, size*10 {
				send(layer, size, false)
			}
			now += 1e8
		}
	}
	second()
	if len(k.got) != 0 || len(asked) == 0 {
		t.Fatalf("before a key picture the sink got %d frames; asked for %v", len(k.got), asked)
	}
	send(2, 1000, true)
	if len(k.got) != 1 || k.got[0].Layer != 2 {
		t.Fatalf("the sink got %v of the first key picture", k.got)
	}
	epoch := k.got[0].Epoch
	asked = nil
	second()
	second()
	if n := len(asked); n == 0 || asked[n-1] != (Feedback{Kind: KeyFrame, Layer: 3}) {
		t.Fatalf("without a limit the largest is wanted: asked for %v", asked)
	}
	if last := k.got[len(k.got)-1]; last.Layer != 2 {
		t.Errorf("the sink got layer %d before it had a key picture", last.Layer)
	}
	send(3, 10000, true)
	if last := k.got[len(k.got)-1]; last.Layer != 3 || last.Epoch == epoch {
		t.Errorf("the sink got layer %d, epoch %d; expected layer 3 and another epoch than %d", last.Layer, last.Epoch, epoch)
	}
	k.Upstream(Feedback{Kind: Bitrate, Value: 100_000})
	k.Upstream(Feedback{Kind: KeyFrame})
	if n := len(asked); asked[n-1] != (Feedback{Kind: KeyFrame, Layer: 3}) {
		t.Errorf("a sink that has lost something asks for %v", asked[n-1])
	}
	second()
	second()
	if n := len(asked); asked[n-1] != (Feedback{Kind: KeyFrame, Layer: 2}) {
		t.Errorf("within 100 kbit/s %v is wanted", asked[n-1])
	}
	send(2, 1000, true)
	second()
	if last := k.got[len(k.got)-1]; last.Layer != 2 {
		t.Errorf("within 100 kbit/s the sink gets layer %d, expected 2", last.Layer)
	}
	k.Upstream(Feedback{Kind: Bitrate, Value: 1000})
	second()
	send(1, 100, true)
	second()
	if last := k.got[len(k.got)-1]; last.Layer != 1 {
		t.Errorf("within 1 kbit/s the sink gets layer %d, expected the smallest", last.Layer)
	}
}

// A pass-through passes on all layers: it is those behind it who choose.
func TestLayersThrough(t *testing.T) {
	src, through := NewSource(nil, nil), NewThrough(nil)
	vp8 := VideoFormat("VP8", "")
	src.SetFormats(vp8)
	src.Link(through)
	sinks := [2]layerSink{}
	for i := range sinks {
		sinks[i].caps = &Caps{[]*Format{vp8}}
		through.Out().Link(&sinks[i])
	}
	sinks[0].Upstream(Feedback{Kind: Bitrate, Value: 1000})
	for now := int64(1e9); now < 5e9; now += 1e8 {
		for layer := uint8(1); layer <= 2; layer++ {
			src.Send(&Frame{Kind: Video, Format: vp8, Payload: make([]byte, 100*int(layer)), Arrival: now, Epoch: 1, Layer: layer, Key: true})
		}
		sinks[0].Upstream(Feedback{Kind: Bitrate, Value: 1000})
	}
	if a, b := sinks[0].got[len(sinks[0].got)-1].Layer, sinks[1].got[len(sinks[1].got)-1].Layer; a != 1 || b != 2 {
		t.Errorf("one sink gets layer %d, the other %d; expected 1 and 2", a, b)
	}
}

type layerSink struct {
	Inlet
	caps *Caps
	got  []Frame
}

func (k *layerSink) Caps() *Caps   { return k.caps }
func (k *layerSink) Push(f *Frame) { k.got = append(k.got, *f) }
