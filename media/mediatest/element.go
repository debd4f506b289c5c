package mediatest

import (
	"bytes"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
)

// Subject is an element under test, ready to work: an endpoint has its peer, a recorder its file.
type Subject struct {
	Element media.Element
	// Stall stops whatever takes the element's output outside of the pipeline (disk, peer), until release. nil if
	// nothing does.
	Stall func() (release func())
	// Output is all that the element has put out there so far. nil if it can't be seen.
	Output func() []byte
	// Close takes down what stands around the element, after it was closed. nil if nothing does.
	Close func()
}

// Element checks what every element promises. make makes a fresh one each time; its second result, which may be nil, takes
// down what stands around it.
func Element(t *testing.T, make func() (media.Element, func())) {
	t.Helper()
	Sink(t, func() Subject {
		e, done := make()
		return Subject{Element: e, Close: done}
	})
}

// Sink checks all that Element does, and that a stalled output doesn't hold Push up.
func Sink(t *testing.T, make func() Subject) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { run(t, c.check, make) })
	}
}

type check struct {
	name  string
	check func(testing.TB, Subject)
}

// checks are in the order in which a reader wants to see them fail.
var checks = []check{
	{"pads are consistent", padsAreConsistent},
	{"unknown formats are dropped", unknownFormatsAreDropped},
	{"damage is survived", damageIsSurvived},
	{"sinks may be unknown", sinksMayBeUnknown},
	{"push changes nothing", pushChangesNothing},
	{"push keeps nothing", pushKeepsNothing},
	{"push doesn't block", pushDoesNotBlock},
	{"push doesn't block on a stalled output", pushDoesNotBlockStalled},
	{"push doesn't allocate", pushDoesNotAllocate},
	{"counts only rise", countsOnlyRise},
	{"close twice", closeTwice},
	{"close during push", closeDuringPush},
	{"closed is still", closedIsStill},
}

// run does one check on a fresh subject and then looks for what it left behind.
func run(tb testing.TB, check func(testing.TB, Subject), make func() Subject) {
	before := goleak.IgnoreCurrent()
	func() {
		s := make()
		if s.Close != nil {
			defer s.Close()
		}
		defer func() {
			if err := within(5*time.Second, s.Element.Close); err != nil {
				tb.Errorf("close: %v", err)
			}
		}()
		check(tb, s)
	}()
	if err := goleak.Find(before); err != nil {
		tb.Errorf("after close: %v", err)
	}
}

// pads lists an element's pads.
func pads(e media.Element) []media.Pad {
	if p, ok := e.(media.Padder); ok {
		return p.Pads()
	}
	return []media.Pad{{Kind: media.Audio}, {Kind: media.Video}, {Kind: media.Data}}
}

func sinks(e media.Element) []media.Sink {
	var out []media.Sink
	for _, p := range pads(e) {
		if k := e.Sink(p); k != nil {
			out = append(out, k)
		}
	}
	return out
}

func sources(e media.Element) []*media.Source {
	var out []*media.Source
	for _, p := range pads(e) {
		if s := e.Source(p); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// formats is what a sink takes now.
func formats(k media.Sink) []*media.Format {
	if c := k.Caps(); c != nil {
		return c.Formats
	}
	return nil
}

// eachFormat links a talker to every sink of e, for every format that it takes.
func eachFormat(e media.Element, do func(k media.Sink, t *Talker, payloads [][]byte)) {
	for _, k := range sinks(e) {
		for _, f := range formats(k) {
			t := NewTalker(nil, f)
			t.Link(k)
			do(k, t, payloads(f))
			t.Close()
		}
	}
}

func padsAreConsistent(tb testing.TB, s Subject) {
	e := s.Element
	if len(sinks(e))+len(sources(e)) == 0 {
		tb.Errorf("%T has no pad", e)
	}
	for _, p := range pads(e) {
		k := e.Sink(p)
		if v := reflect.ValueOf(k); k != nil && v.Kind() == reflect.Pointer && v.IsNil() {
			tb.Fatalf("sink of %s pad %q is a nil %T: must be nil itself", p.Kind, p.Name, k)
		}
		src := e.Source(p)
		if e.Sink(p) != k || e.Source(p) != src {
			tb.Errorf("%s pad %q isn't the same when asked again", p.Kind, p.Name)
		}
		if k != nil {
			if caps := k.Caps(); k.Caps() != caps {
				tb.Errorf("caps of %s pad %q aren't the same value when asked again", p.Kind, p.Name)
			}
		}
	}
	strange := media.Pad{Kind: media.Video, Name: "no such pad"}
	if e.Sink(strange) != nil || e.Source(strange) != nil {
		tb.Errorf("%T has a pad %q", e, strange.Name)
	}
	for _, src := range sources(e) {
		for _, f := range src.Formats() {
			if f == nil || f.Codec == "" || f.Clock <= 0 {
				tb.Errorf("a source sends format %v", f)
			}
		}
	}
}

// strange is a format that nobody knows.
func strange() *media.Format { return &media.Format{Codec: "X-NOBODY", Clock: 11025, Channels: 1} }

func unknownFormatsAreDropped(tb testing.TB, s Subject) {
	f := strange()
	r := NewRecorder(f)
	for _, src := range sources(s.Element) {
		src.Link(r)
	}
	for _, k := range sinks(s.Element) {
		k.Push(&media.Frame{Format: f, Payload: []byte("whatever this may be")})
	}
	time.Sleep(2 * media.Tick)
	if n := r.Len(); n != 0 {
		tb.Errorf("%d frames of format %s came out", n, f)
	}
}

func damageIsSurvived(tb testing.TB, s Subject) {
	eachFormat(s.Element, func(_ media.Sink, t *Talker, _ [][]byte) {
		for _, n := range []int{0, 1, 2, 3, 159, 161, 1500, 65535} {
			t.Say(bytes.Repeat([]byte{0xff}, n))
			t.Say(make([]byte, n))
		}
		t.Say(nil)
		t.Anew()
		t.Say(nil)
	})
}

func sinksMayBeUnknown(tb testing.TB, s Subject) {
	r := NewRecorder()
	for _, src := range sources(s.Element) {
		src.Link(r)
	}
	eachFormat(s.Element, func(_ media.Sink, t *Talker, payloads [][]byte) {
		for _, p := range payloads {
			t.Say(p)
		}
	})
	time.Sleep(2 * media.Tick)
	if n := r.Len(); n != 0 {
		tb.Errorf("%d frames entered a sink without caps", n)
	}
}

func pushChangesNothing(tb testing.TB, s Subject) {
	for _, k := range sinks(s.Element) {
		for _, f := range formats(k) {
			for i, p := range payloads(f) {
				was := media.Frame{
					Kind: f.Kind, Format: f, Payload: p, Timestamp: uint32(i * f.Clock / 50), Sequence: uint16(i),
					Epoch: 1, Arrival: int64(i) * int64(media.Tick), Marker: i == 0,
				}
				is := was
				is.Payload = bytes.Clone(p)
				k.Push(&is)
				if !reflect.DeepEqual(is, was) {
					tb.Fatalf("%s: frame %d is changed:\n is %+v\nwas %+v", f, i, is, was)
				}
			}
		}
	}
}

// scribble is what payloads are overwritten with once they are the sender's again.
const scribble = 0xA7

func pushKeepsNothing(tb testing.TB, s Subject) {
	r := NewRecorder()
	for _, src := range sources(s.Element) {
		r.Take(src.Formats()...)
		src.Link(r)
	}
	eachFormat(s.Element, func(_ media.Sink, t *Talker, payloads [][]byte) {
		if t.Format.Kind == media.Event {
			return // too short to be told from others
		}
		buf := make([]byte, 65536)
		for _, p := range payloads {
			b := buf[:copy(buf, p)]
			t.Say(b)
			for i := range b {
				b[i] = scribble
			}
		}
	})
	time.Sleep(5 * media.Tick)
	for i, f := range r.Frames() {
		if kept(f.Payload) {
			tb.Fatalf("frame %d came out with what its sender wrote into the payload later", i)
		}
	}
	if s.Output != nil && kept(s.Output()) {
		tb.Fatalf("what was put out has what the sender wrote into the payload later")
	}
}

func kept(b []byte) bool { return bytes.Contains(b, bytes.Repeat([]byte{scribble}, 16)) }

func pushDoesNotBlock(tb testing.TB, s Subject) {
	eachFormat(s.Element, func(_ media.Sink, t *Talker, payloads [][]byte) { timePush(tb, t, payloads) })
}

func pushDoesNotBlockStalled(tb testing.TB, s Subject) {
	if s.Stall == nil {
		return // its output is its sources, whose sinks don't block
	}
	release := s.Stall()
	defer release()
	eachFormat(s.Element, func(_ media.Sink, t *Talker, payloads [][]byte) { timePush(tb, t, payloads) })
}

// timePush asserts that Push returns within 100 us as a rule and 1 ms at worst. Other programs take their time too: a push
// during which the kernel gave the processor to one of them isn't timed, and one good round of ten will do. A push that waits
// for anything fails in all.
func timePush(tb testing.TB, t *Talker, payloads [][]byte) {
	tb.Helper()
	const rounds, pushes = 10, 500
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var median, worst time.Duration
	for round := range rounds {
		time.Sleep(time.Duration(round) * 10 * time.Millisecond) // whoever was in the way may be done then
		took := make([]time.Duration, 0, pushes)
		var all time.Duration
		for i := 0; i < pushes && all < pushes*100*time.Microsecond; i++ {
			before, begin := preemptions(), time.Now()
			t.Say(payloads[i%len(payloads)])
			d := time.Since(begin)
			if all += d; preemptions() != before {
				i-- // but its time counts against the round's
				continue
			}
			took = append(took, d)
		}
		if len(took) == 0 { // all of the round went into pushes that weren't timed
			took = append(took, all)
		}
		slices.Sort(took)
		median, worst = took[len(took)/2], took[len(took)-1]
		if len(took) == pushes && median <= 100*time.Microsecond && worst <= time.Millisecond {
			return
		}
	}
	tb.Errorf("%s: push takes %s as a rule and %s at worst, want 100us and 1ms", t.Format, median, worst)
}

func pushDoesNotAllocate(tb testing.TB, s Subject) {
	for _, src := range sources(s.Element) {
		src.Link(NewCounter(src.Formats()...))
	}
	eachFormat(s.Element, func(_ media.Sink, t *Talker, payloads [][]byte) {
		i := 0
		say := func() { t.Say(payloads[i%len(payloads)]); i++ }
		for range 200 {
			say() // what is made once is made now
		}
		least := math.Inf(1)
		for range 5 { // others may allocate meanwhile
			if least = min(least, testing.AllocsPerRun(200, say)); least == 0 {
				return
			}
		}
		tb.Errorf("%s: push allocates %v times", t.Format, least)
	})
}

func countsOnlyRise(tb testing.TB, s Subject) {
	var before media.Snapshot
	s.Element.Stats(&before)
	eachFormat(s.Element, func(_ media.Sink, t *Talker, payloads [][]byte) {
		for _, p := range payloads {
			t.Say(p)
		}
		var after media.Snapshot
		s.Element.Stats(&after)
		rose(tb, before, after)
		before = after
	})
	for k, v := range before.Notes {
		if math.IsNaN(v) {
			tb.Errorf("note %q is not a number", k)
		}
	}
}

func rose(tb testing.TB, before, after media.Snapshot) {
	tb.Helper()
	type key struct {
		inbound bool
		ssrc    uint32
	}
	was := map[key]media.Stream{}
	for _, st := range before.Streams {
		was[key{st.Inbound, st.SSRC}] = st
	}
	for _, st := range after.Streams {
		b := was[key{st.Inbound, st.SSRC}]
		delete(was, key{st.Inbound, st.SSRC})
		if st.Packets < b.Packets || st.Bytes < b.Bytes || st.Duplicate < b.Duplicate || st.Reordered < b.Reordered ||
			st.Rejected < b.Rejected || st.JitterMax < b.JitterMax || st.Last < b.Last || st.Epochs < b.Epochs {
			tb.Errorf("counts fell:\nbefore %+v\n after %+v", b, st)
		}
	}
	for k := range was {
		tb.Errorf("stream %+v vanished from the counts", k)
	}
}
