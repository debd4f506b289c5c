package mix

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/mediatest"
)

// talk is a stream of a tone that is written into a buffer and played, on a clock of its own.
type talk struct {
	t    *testing.T
	rate int
	buf  buffer
	out  []int16
}

const ms = int64(time.Millisecond)

func newTalk(t *testing.T, rate int) *talk {
	k := &talk{t: t, rate: rate}
	k.buf.setRate(rate)
	return k
}

type arrival struct {
	at     int64 // ns
	number int   // of the frame, of 20 ms
	epoch  uint32
}

// frame is 20 ms of the tone.
func (k *talk) frame(i int) []byte {
	per := k.rate / 50
	b := make([]byte, 2*per)
	for j := range per {
		s := 8000 * math.Sin(2*math.Pi*440*float64(i*per+j)/float64(k.rate))
		binary.BigEndian.PutUint16(b[2*j:], uint16(int16(math.Round(s))))
	}
	return b
}

// run plays for a time, ticks being at 20 ms, 40 ms and so on, while frames come.
func (k *talk) run(length int64, list []arrival) {
	slices.SortStableFunc(list, func(a, b arrival) int { return int(a.at - b.at) })
	dst := make([]int16, k.rate/50)
	for now := int64(0); now < length; now += 20 * ms {
		for len(list) > 0 && list[0].at <= now {
			a := list[0]
			list = list[1:]
			k.buf.write(k.frame(a.number), k.rate, uint32(a.number*k.rate/50)+math.MaxUint32-5000, a.epoch, a.at)
		}
		k.buf.read(dst, now)
		k.out = append(k.out, dst...)
	}
}

// steady is frames that come each 20 ms, with some jitter at most, every one later by drift parts of a million.
func steady(n int, jitter int64, drift float64) (list []arrival) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		at := int64(float64(i)*20*float64(ms)*(1+drift/1e6)) + 3*ms
		if jitter > 0 {
			at += rnd.Int64N(jitter)
		}
		list = append(list, arrival{at: at, number: i})
	}
	return list
}

// level of the tone in what was played between two times.
func (k *talk) level(from, to int64) float64 {
	at := func(ns int64) int { return int(ns/ms) * k.rate / 1000 }
	return mediatest.Level(k.out[at(from):at(to)], float64(k.rate), 440, 8000)
}

// delay is how long audio waits now.
func (k *talk) delay() time.Duration { _, d := k.buf.count(); return d }

func TestSteadyStreamIsPlayedAsItIs(t *testing.T) {
	for _, rate := range rates {
		k := newTalk(t, rate)
		k.run(10000*ms, steady(500, 0, 0))
		c, _ := k.buf.count()
		if c.Late+c.Shorter+c.Longer+c.Concealed != 0 || c.Shifted != 1 || c.Frames != 499 {
			t.Errorf("at %d: %+v", rate, c)
		}
		// Every sample, from where the first one was played.
		first := slices.IndexFunc(k.out, func(s int16) bool { return s > 500 })
		if at := time.Duration(first) * time.Second / time.Duration(rate); at > 60*time.Millisecond {
			t.Errorf("at %d: first heard after %s", rate, at)
		}
		if got := k.level(200*ms, 9900*ms); math.Abs(got) > 0.01 {
			t.Errorf("at %d: the tone is at %+.3f dB", rate, got)
		}
	}
}

// Jitter makes the buffer grow until nothing comes late, and not longer than it has to be; without it, it shrinks again.
func TestBufferAdapts(t *testing.T) {
	k := newTalk(t, 8000)
	list := steady(1500, 80*ms, 0)
	for i := range 1500 {
		list = append(list, arrival{at: 30000*ms + int64(i)*20*ms + 3*ms, number: 1500 + i})
	}
	k.run(30000*ms, slices.Clone(list[:1500]))
	c, _ := k.buf.count()
	missed := float64(c.Late) / float64(c.Frames)
	if missed > 0.05 {
		t.Errorf("%.1f %% of frames came too late: %+v", 100*missed, c)
	}
	if d := k.delay(); d > 140*time.Millisecond {
		t.Errorf("80 ms of jitter are waited for %s", d)
	}
	before := k.delay()
	k.buf.counts = Counts{}
	late := newTalk(t, 8000)
	late.run(60000*ms, list)
	if d := late.delay(); d > 60*time.Millisecond || d >= before {
		t.Errorf("30 s after the jitter audio still waits %s (%s before)", d, before)
	}
}

// Clocks differ: a second of audio isn't a second here. Nothing piles up and nothing is lost but whole periods.
func TestDriftIsFollowed(t *testing.T) {
	for _, drift := range []float64{-500, 500} {
		k := newTalk(t, 8000)
		n := 3000
		k.run(int64(n)*20*ms, steady(n, 0, drift))
		c, d := k.buf.count()
		if d > 60*time.Millisecond || c.Late > 5 {
			t.Errorf("drift of %v ppm: waits %s, %+v", drift, d, c)
		}
		if got := k.level(50000*ms, 59000*ms); got < -6 {
			t.Errorf("drift of %v ppm: the tone is at %.1f dB", drift, got)
		}
	}
}

func TestOrderIsRestored(t *testing.T) {
	k := newTalk(t, 16000)
	list := steady(500, 0, 0)
	for i := 100; i < 400; i += 10 { // one each 200 ms comes after its successor
		list[i].at += 21 * ms
	}
	k.run(10000*ms, list)
	c, _ := k.buf.count()
	if c.Late > 5 {
		t.Errorf("%+v", c)
	}
	if got := k.level(5000*ms, 9900*ms); math.Abs(got) > 0.3 {
		t.Errorf("the tone is at %+.2f dB: %+v", got, c)
	}
}

// Lost frames are made up for: of a tone nothing is missed at 5 % loss; after 60 ms there is silence.
func TestLossIsConcealed(t *testing.T) {
	k := newTalk(t, 8000)
	list := slices.DeleteFunc(steady(500, 0, 0), func(a arrival) bool { return a.number > 50 && a.number%20 == 7 })
	k.run(10000*ms, list)
	if got := k.level(2000*ms, 9900*ms); math.Abs(got) > 0.5 {
		t.Errorf("at 5 %% loss the tone is at %+.2f dB", got)
	}
	if c, _ := k.buf.count(); c.Concealed < 20*160 || c.Concealed > 25*160 {
		t.Errorf("%+v", c)
	}
	k = newTalk(t, 8000)
	list = slices.DeleteFunc(steady(500, 0, 0), func(a arrival) bool { return a.number >= 100 && a.number < 200 })
	k.run(10000*ms, list)
	for i, s := range k.out[8000*23/10 : 8000*39/10] {
		if s != 0 {
			t.Fatalf("sample %d of a long gap is %d", i, s)
		}
	}
	if got := k.level(4500*ms, 9900*ms); math.Abs(got) > 0.1 {
		t.Errorf("after the gap the tone is at %+.2f dB", got)
	}
}

// After a stall all comes at once: the oldest of it is left out, and what waits is bounded.
func TestStallIsCaughtUp(t *testing.T) {
	k := newTalk(t, 8000)
	list := steady(500, 0, 0)
	for i := 100; i < 150; i++ {
		list[i].at = 3000 * ms
	}
	k.run(3200*ms, list)
	if d := k.delay(); d > 260*time.Millisecond {
		t.Errorf("after a stall of a second %s wait", d)
	}
	k = newTalk(t, 8000)
	k.run(30000*ms, append(list, steady(1500, 0, 0)[500:]...))
	if d := k.delay(); d > 80*time.Millisecond {
		t.Errorf("25 s after a stall of a second %s wait", d)
	}
}

func TestAnotherStream(t *testing.T) {
	k := newTalk(t, 8000)
	list := steady(300, 0, 0)
	for i := range 100 {
		list[100+i].epoch = 1
		list[100+i].number += 100000
	}
	k.run(6000*ms, list)
	c, d := k.buf.count()
	if c.Shifted != 3 || c.Late != 0 || d > 80*time.Millisecond {
		t.Errorf("%+v, %s wait", c, d)
	}
}

func TestScatteredFrames(t *testing.T) {
	k := newTalk(t, 8000)
	rnd := rand.New(rand.NewPCG(3, 4))
	var list []arrival
	for range 20000 {
		list = append(list, arrival{at: rnd.Int64N(5000 * ms), number: rnd.IntN(400), epoch: uint32(rnd.IntN(300) / 299)})
	}
	k.run(6000*ms, list)
	if d := k.delay(); d > time.Second/2 {
		t.Errorf("%s wait", d)
	}
}
