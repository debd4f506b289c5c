package opus

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/thesyncim/gopus"
	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestMain(m *testing.M) {
	if arg := os.Getenv(generatorEnv); arg != "" {
		if err := generator(arg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func registry(t testing.TB) *media.Registry {
	reg := media.NewRegistry()
	reg.Register(g711.Conversions()...)
	reg.Register(Conversions()...)
	t.Cleanup(func() { _ = reg.Close() })
	return reg
}

// A tone goes from u-law to Opus and back, by the registry's own choice of ways and on its workers.
func TestToneThereAndBack(t *testing.T) {
	for _, law := range []*media.Format{media.PCMU(), media.PCMA()} {
		for _, hz := range []float64{440, 1000, 2000} {
			t.Run(fmt.Sprintf("%s %v Hz", law.Codec, hz), func(t *testing.T) {
				reg := registry(t)
				phone, browser := mediatest.NewTalker(reg, law), mediatest.NewTalker(reg, Format())
				opus, back := mediatest.NewRecorder(Format()), mediatest.NewRecorder(law)
				phone.Link(opus)
				browser.Link(back)
				const n = 100
				for i, p := range mediatest.Tone(law, hz, -10, n) {
					phone.Say(p)
					got := opus.Wait(t, i+1, 5*time.Second)
					browser.Say(got[i].Payload)
				}
				sent, heard := opus.Frames(), back.Wait(t, n, 5*time.Second)
				first := sent[0]
				sent[0].Marker, heard[0].Marker = false, false
				inOrder(t, sent, Clock)
				inOrder(t, heard, 8000)
				if first.Timestamp != 160000*6 || !first.Marker || first.Format.Codec != "OPUS" {
					t.Errorf("the first packet: %+v", first)
				}
				var pcm []int16
				for _, f := range heard {
					pcm = append(pcm, mediatest.Linear(law, f.Payload)...)
				}
				peak := g711.Mu().Peak()
				if law.Codec == "PCMA" {
					peak = g711.A().Peak()
				}
				if level := mediatest.Level(pcm[8000:], 8000, hz, peak); math.Abs(level+10) > 1 {
					t.Errorf("%v Hz came back at %.2f dBm0, want -10 within 1 dB", hz, level)
				}
			})
		}
	}
}

func TestSpeechThereAndBack(t *testing.T) {
	said := speech(t)
	for _, c := range []struct {
		hz   int
		want float64 // dB; what libopus reaches at these settings, less 2
	}{{8000, 8.8}, {16000, 9.7}, {48000, 9.0}} {
		in := upsampled(said[:8000*4], c.hz/8000)
		sent := convert(way(t, media.L16(c.hz), Format()), linear(in, c.hz/50)...)
		heard := convert(way(t, Format(), media.L16(c.hz)), sent...)
		inOrder(t, heard, c.hz)
		var bytes int
		for _, f := range sent {
			bytes += len(f.Payload)
		}
		db, lag := snr(in[:c.hz*3], samples(heard)[:c.hz*3], c.hz/250, c.hz/100, c.hz/8000)
		t.Logf("%d Hz: %.2f dB, lag %.1f ms, %d bit/s", c.hz, db, float64(lag)*1000/float64(c.hz), bytes*8*50/len(sent))
		if db < c.want {
			t.Errorf("%d Hz: SNR %.2f dB, want %v", c.hz, db, c.want)
		}
		if rate := bytes * 8 * 50 / len(sent); rate > 40000 || rate < 8000 {
			t.Errorf("%d Hz: %d bit/s", c.hz, rate)
		}
	}
}

// A browser's wideband stream, mono or stereo, is decoded at 8 kHz directly; packets of any length give frames of 20 ms.
func TestPacketsOfAnyLength(t *testing.T) {
	said := speech(t)[:9600+1920]
	wide := upsampled(said, 6)
	stereo := make([]int16, 0, 2*len(wide))
	for _, s := range wide {
		stereo = append(stereo, s, s)
	}
	for _, length := range []int{120, 240, 480, 960, 1920, 2880, 5760} {
		for name, in := range map[string][]media.Frame{
			"mono":   packets(t, wide, Clock, 1, length, nil),
			"stereo": packets(t, stereo, Clock, 2, length, nil),
		} {
			heard := convert(way(t, Format(), media.L16(8000)), in...)
			if want := len(in) * length / 960; len(heard) != want {
				t.Fatalf("%s, %v ms: %d frames of %d packets, want %d", name, float64(length)/48, len(heard), len(in), want)
			}
			if !heard[0].Marker {
				t.Errorf("%s, %v ms: the first frame has no marker", name, float64(length)/48)
			}
			inOrder(t, heard, 8000)
			db, _ := snr(said[:10000], samples(heard)[:10000], 10, 100, 1)
			t.Logf("%s, %v ms: %.2f dB", name, float64(length)/48, db)
			if db < 8 {
				t.Errorf("%s, %v ms: SNR %.2f dB", name, float64(length)/48, db)
			}
		}
	}
}

// What only one channel says is heard, at half the amplitude.
func TestStereoIsMixedDown(t *testing.T) {
	said := speech(t)[:8000]
	left := make([]int16, 0, 12*len(said))
	for _, s := range upsampled(said, 6) {
		left = append(left, s, 0)
	}
	heard := samples(convert(way(t, Format(), media.L16(8000)), packets(t, left, Clock, 2, 960, func(e *gopus.Encoder) { _ = e.SetBitrate(64000) })...))
	var loud, was float64
	for i := range heard {
		loud, was = loud+float64(heard[i])*float64(heard[i]), was+float64(said[i])*float64(said[i])
	}
	if db := 10 * math.Log10(loud/was); math.Abs(db+6) > 1.5 {
		t.Errorf("one channel of two came %.1f dB louder, want -6", db)
	}
}

// Frames of telephones come in many lengths.
func TestFramesOfAnyLength(t *testing.T) {
	said := speech(t)[:8000*4]
	want := convert(way(t, media.L16(8000), Format()), linear(said, 160)...)
	for _, ms := range []int{5, 10, 20, 30, 40, 60, 120} {
		got := convert(way(t, media.L16(8000), Format()), linear(said, 8*ms)...)
		if len(got) < len(want)-6 || len(got) > len(want) {
			t.Fatalf("%d ms: %d packets, want %d", ms, len(got), len(want))
		}
		inOrder(t, got, Clock)
		for i := range got {
			if !bytes.Equal(got[i].Payload, want[i].Payload) {
				t.Fatalf("%d ms: packet %d isn't that of 20 ms frames", ms, i)
			}
		}
	}
}

// A lost frame of the phone is a lost packet of the browser; a pause is a new talkspurt.
func TestGapsOfThePhone(t *testing.T) {
	in := linear(speech(t)[:16000], 160)
	late := in[20]
	lossy := append(append(append([]media.Frame{}, in[:20]...), in[23:30]...), late)
	for _, f := range in[30:] { // sequence numbers go on, timestamps jump by a second
		f.Timestamp += 8000
		lossy = append(lossy, f)
	}
	out := convert(way(t, media.L16(8000), Format()), lossy...)
	if len(out) != len(in)-3 {
		t.Fatalf("%d packets, want %d", len(out), len(in)-3)
	}
	if d, ts := out[20].Sequence-out[19].Sequence, out[20].Timestamp-out[19].Timestamp; d != 4 || ts != 4*960 || out[20].Marker {
		t.Errorf("after the loss: %d numbers and %d of time later, marker %v", d, ts, out[20].Marker)
	}
	if d, ts := out[27].Sequence-out[26].Sequence, out[27].Timestamp-out[26].Timestamp; d != 1 || ts != 960+Clock || !out[27].Marker {
		t.Errorf("after the pause: %d numbers and %d of time later, marker %v", d, ts, out[27].Marker)
	}
	// A frame of 10 ms that waited for another is lost with what follows it.
	halves := linear(speech(t)[:1600], 80)
	out = convert(way(t, media.L16(8000), Format()), append(halves[:5:5], halves[7:]...)...)
	if ts := out[2].Timestamp - out[1].Timestamp; len(out) != 8 || ts != 960+3*480 || out[2].Sequence-out[1].Sequence != 3 {
		t.Errorf("%d packets; after the loss %d of time, %d numbers", len(out), ts, out[2].Sequence-out[1].Sequence)
	}
}

func TestAnotherStreamBeginsAnew(t *testing.T) {
	in := linear(speech(t)[:16000], 160)
	enc := way(t, media.L16(8000), Format())
	out := convert(enc, in...)
	for i := range in {
		in[i].Epoch = 7
		in[i].Sequence -= 500
		in[i].Timestamp += 77777
	}
	more := convert(enc, in...)
	if first := more[0]; len(more) != len(in) || first.Epoch != 7 || first.Sequence != 500 || first.Timestamp != (160000+77777)*6 || !first.Marker {
		t.Errorf("another stream of the phone begins with %+v", first)
	}
	dec := way(t, Format(), media.L16(8000))
	want := convert(dec, out...)
	for i := range out {
		out[i].Epoch = 7
	}
	for _, step := range []struct {
		why        string
		back       uint16
		frames     int
		fromTheTop bool
	}{
		{"another epoch", 500, len(out), true},
		{"numbers too far behind", 5000, len(out), true},
		{"numbers behind for long", 60, len(out) - patience, false},
	} {
		for i := range out {
			out[i].Sequence -= step.back
		}
		got := convert(dec, out...)
		if len(got) != step.frames {
			t.Fatalf("%s: %d frames, want %d", step.why, len(got), step.frames)
		}
		for i := range got {
			if step.fromTheTop && !bytes.Equal(got[i].Payload, want[i].Payload) {
				t.Fatalf("%s: frame %d has something of the stream before", step.why, i)
			}
		}
	}
}

func TestReleasedConvertersAreAsNew(t *testing.T) {
	pcm := speech(t)
	for _, c := range Conversions() {
		if c.From.Kind == media.Event {
			continue
		}
		var in []media.Frame
		hz := c.From.Clock
		if c.From.Codec == "L16" {
			in = linear(upsampled(pcm[:16000], hz/8000), hz/50)
		} else {
			in = packets(t, pcm[:16000], 8000, 1, 960, nil)
		}
		want := convert(c.New(), in...)
		for range 5 { // the pool may forget; it may not give what remembers
			used := c.New()
			if h, ok := used.(media.Heeder); ok {
				h.Heed(0.2)
			}
			convert(used, in[30:53]...)
			if r, ok := used.(media.Releaser); ok {
				r.Release()
			}
			got := convert(c.New(), in...)
			if len(got) != len(want) {
				t.Fatalf("%s to %s: %d frames, want %d", c.From, c.To, len(got), len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i].Payload, want[i].Payload) || got[i].Timestamp != want[i].Timestamp {
					t.Fatalf("%s to %s: frame %d of a used converter isn't that of a new one", c.From, c.To, i)
				}
			}
		}
	}
}

func TestEventsChangeClock(t *testing.T) {
	reg := registry(t)
	at48, at8 := media.TelephoneEvent(Clock), media.TelephoneEvent(8000)
	s := media.NewSource(reg, nil)
	voice := Format()
	s.SetFormats(voice, at48)
	phone, beside := mediatest.NewRecorder(media.PCMU(), at8), mediatest.NewRecorder(Format(), media.TelephoneEvent(Clock))
	s.Link(phone)
	s.Link(beside)
	spoken := packets(t, speech(t)[:1600], 8000, 1, 960, nil)
	for i := range spoken {
		spoken[i].Format = voice
		s.Send(&spoken[i])
		phone.Wait(t, i+1, 5*time.Second)
	}
	ts := spoken[9].Timestamp + 960
	for i := range 5 {
		length := 960 * (i + 1)
		p := []byte{5, 10, byte(length >> 8), byte(length)}
		if i == 4 {
			p[1] |= 0x80
		}
		s.Send(&media.Frame{Kind: media.Event, Format: at48, Payload: p, Timestamp: ts, Sequence: spoken[9].Sequence + 1 + uint16(i)})
	}
	audio := spoken[9]
	audio.Sequence, audio.Timestamp = audio.Sequence+1, audio.Timestamp+6*960
	s.Send(&audio)
	var events, frames []media.Frame
	for _, f := range phone.Wait(t, 16, 5*time.Second) {
		if f.Kind == media.Event {
			events = append(events, f)
		} else {
			frames = append(frames, f)
		}
	}
	if len(events) != 5 || len(frames) != 11 {
		t.Fatalf("%d events and %d frames came, want 5 and 11", len(events), len(frames))
	}
	for i, f := range events {
		length := 160 * (i + 1)
		if want := []byte{5, 10 | byte(i/4)<<7, byte(length >> 8), byte(length)}; !bytes.Equal(f.Payload, want) || f.Timestamp != events[0].Timestamp {
			t.Errorf("event %d: %x at %d, want %x", i, f.Payload, f.Timestamp, want)
		}
	}
	// Events and audio have the same time, to a sample, also beyond the wrap of the 48 kHz clock.
	if d := int32(events[0].Timestamp - frames[9].Timestamp - 160); d < -1 || d > 1 {
		t.Errorf("the event is %d samples off the audio", d)
	}
	if d := frames[10].Timestamp - frames[9].Timestamp; d != 6*160 || frames[10].Sequence != frames[9].Sequence+1 || !frames[10].Marker {
		t.Errorf("audio went on %d later, number %d after %d, marker %v", d, frames[10].Sequence, frames[9].Sequence, frames[10].Marker)
	}
	if n := beside.Len(); n != 16 {
		t.Errorf("the sink of Opus got %d frames, want 16", n)
	}
	up := convert(way(t, at8, at48), media.Frame{Payload: []byte{1, 0x8a, 0xff, 0xff}, Timestamp: 3})
	if len(up) != 1 || !bytes.Equal(up[0].Payload, []byte{1, 0x8a, 0xff, 0xff}) || up[0].Timestamp != 18 {
		t.Errorf("a long event at 48 kHz: %+v", up)
	}
	if got := convert(way(t, at8, at48), media.Frame{Payload: []byte{1, 2, 3}}); len(got) != 0 {
		t.Errorf("half an event became %x", got[0].Payload)
	}
}

// The registry finds the ways by itself, and none that makes no sense.
func TestWays(t *testing.T) {
	reg := registry(t)
	for _, to := range []*media.Format{media.PCMU(), media.PCMA(), media.L16(8000), media.L16(16000), media.L16(48000)} {
		if !reg.Converts(Format(), to) || !reg.Converts(to, Format()) {
			t.Errorf("no way between Opus and %s", to)
		}
	}
	if reg.Converts(media.TelephoneEvent(Clock), media.PCMU()) || reg.Converts(Format(), media.TelephoneEvent(8000)) {
		t.Error("events become audio, or audio events")
	}
	if !strings.Contains(Params(8000), "maxplaybackrate=8000") || !strings.Contains(Params(8000), "useinbandfec=1") || strings.Contains(Params(Clock), "maxplaybackrate") {
		t.Errorf("parameters %q and %q", Params(8000), Params(Clock))
	}
}

func TestNoAllocation(t *testing.T) {
	said := speech(t)[:16000]
	for _, c := range Conversions() {
		var in []media.Frame
		switch {
		case c.From.Kind == media.Event:
			in = []media.Frame{{Payload: []byte{1, 10, 0, 160}}}
		case c.From.Codec == "L16":
			in = linear(upsampled(said, c.From.Clock/8000), c.From.Clock/50)
		default: // hybrid, SILK and CELT, with redundancy
			in = packets(t, upsampled(said, 6), Clock, 1, 960, func(e *gopus.Encoder) { e.SetFEC(true); _ = e.SetPacketLoss(20) })
		}
		conv := c.New()
		more, _ := conv.(media.Splitter)
		dst := media.Frame{Payload: make([]byte, 0, 12000)}
		room, i := dst.Payload, 0
		step := func() {
			i++
			if i%10 == 3 {
				return // lost
			}
			src := &in[i%len(in)]
			src.Sequence, src.Timestamp = uint16(i), uint32(i*c.From.Clock/50)
			dst.Payload = room
			for ok := conv.Convert(&dst, src); ok; ok = more != nil && more.More(&dst) {
				dst.Payload = room
			}
		}
		for range 150 {
			step()
		}
		if n := testing.AllocsPerRun(200, step); n != 0 {
			t.Errorf("%s to %s allocates %v times a frame", c.From, c.To, n)
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	said := speech(b)
	for _, c := range Conversions() {
		if c.From.Kind == media.Event {
			continue
		}
		b.Run(c.From.Codec+fmt.Sprint(c.From.Clock)+"to"+c.To.Codec+fmt.Sprint(c.To.Clock), func(b *testing.B) {
			var in []media.Frame
			if c.From.Codec == "L16" {
				in = linear(upsampled(said, c.From.Clock/8000), c.From.Clock/50)
			} else {
				in = packets(b, upsampled(said, 6), Clock, 1, 960, func(e *gopus.Encoder) { _ = e.SetBitrate(32000) })
			}
			bench(b, c.New(), in, c.From.Clock)
		})
	}
	b.Run("narrowOPUS48000toL168000", func(b *testing.B) {
		bench(b, way(b, Format(), media.L16(8000)), packets(b, said, 8000, 1, 960, nil), Clock)
	})
}

func bench(b *testing.B, conv media.Converter, in []media.Frame, clock int) {
	dst := media.Frame{Payload: make([]byte, 0, 12000)}
	room, more := dst.Payload, conv.(media.Splitter)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		src := &in[i%len(in)]
		src.Sequence, src.Timestamp = uint16(i), uint32(i*clock/50)
		dst.Payload = room
		for ok := conv.Convert(&dst, src); ok; ok = more.More(&dst) {
			dst.Payload = room
		}
	}
}

// BenchmarkPair is a call's 20 ms: one packet of a browser to u-law, one frame of u-law to Opus.
func BenchmarkPair(b *testing.B) {
	said := speech(b)
	for name, in := range map[string][]media.Frame{
		"wide":   packets(b, upsampled(said, 6), Clock, 1, 960, func(e *gopus.Encoder) { _ = e.SetBitrate(32000) }),
		"narrow": packets(b, said, 8000, 1, 960, nil), // a browser that was asked for maxplaybackrate=8000
	} {
		b.Run(name, func(b *testing.B) {
			reg := registry(b)
			reg.SetWorkers(-1)
			browser, phone := mediatest.NewTalker(reg, Format()), mediatest.NewTalker(reg, media.PCMU())
			law, opus := mediatest.NewCounter(media.PCMU()), mediatest.NewCounter(Format())
			browser.Link(law)
			phone.Link(opus)
			var frames [][]byte
			for i := 0; i+160 <= len(said); i += 160 {
				frames = append(frames, g711.Mu().Encode(nil, said[i:i+160]))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				browser.Say(in[i%len(in)].Payload)
				phone.Say(frames[i%len(frames)])
			}
			if n := law.Frames.Load(); n != opus.Frames.Load() || n == 0 {
				b.Errorf("%d frames one way, %d the other", n, opus.Frames.Load())
			}
		})
	}
}
