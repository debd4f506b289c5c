package webrtc

import (
	"math/rand/v2"
	"testing"

	"github.com/pion/interceptor/pkg/twcc"
	prtcp "github.com/pion/rtcp"
)

// testPath is a camera, a path to who watches it, and the reach that tells the camera what the path takes; all by a clock of their own.
type testPath struct {
	t     *testing.T
	reach reach
	now   int64   // ns
	wide  float64 // of the path, bit/s
	way   int64   // ns that it takes without a queue
	lose  float64 // part of what enters it
	gcc   float64 // what Google Congestion Control says
	ahead int64   // of the watcher's clock, ns

	free    int64 // when all that waits will have gone
	seq     uint16
	told    []float64 // to the camera, in each tenth of a second
	shows   int64     // when the next picture is due
	watcher *twcc.Recorder
	coming  []testArrival
	chance  *rand.Rand

	sent, lost, waited int64 // packets, of which, and their time in the queue
	bytes              int64 // through
}

type testArrival struct {
	at  int64
	seq uint16
}

const (
	testTarget  = 1_500_000    // bit/s of the camera's where nothing bounds it
	testQueue   = int64(250e6) // of the path
	testTenth   = int64(100e6) // between feedbacks
	testLate    = 5            // of them until the camera does what it is told
	testPicture = int64(66e6)  // between pictures at most
	testLeast   = 2500         // bytes of a picture: where less may be sent, fewer are shown
	testPacket  = 1200         // bytes
)

func newTestPath(t *testing.T) *testPath {
	return &testPath{t: t, now: 1e12, shows: 1e12, wide: 50e6, way: 20e6, gcc: 1e6, ahead: 7e12, watcher: twcc.NewRecorder(1), chance: rand.New(rand.NewPCG(1, 2))}
}

// sends is the rate of the camera's.
func (p *testPath) sends() float64 {
	if len(p.told) < testLate {
		return 300_000
	}
	return min(0.85*p.told[len(p.told)-testLate], testTarget)
}

// run lets so many seconds pass.
func (p *testPath) run(seconds float64) {
	p.t.Helper()
	for end := p.now + int64(seconds*1e9); p.now < end; {
		p.now += testTenth
		for p.shows < p.now {
			bytes := max(p.sends()*float64(testPicture)/8e9, testLeast)
			at := p.shows
			for left := int(bytes); left > 0; left -= testPacket {
				p.enter(min(left, testPacket), at)
				at += int64(testPacket * 8e9 / (2.5 * p.sends())) // as a browser spreads them
			}
			p.shows += int64(bytes * 8e9 / p.sends())
		}
		p.hear()
	}
}

// enter puts a packet into the path.
func (p *testPath) enter(bytes int, at int64) {
	p.seq++
	p.reach.send(p.seq, bytes, at)
	p.free = max(p.free, at)
	p.sent++
	if p.free-at > testQueue || p.chance.Float64() < p.lose {
		p.lost++
		return
	}
	p.waited += p.free - at
	p.free += int64(float64(bytes) * 8e9 / p.wide)
	p.bytes += int64(bytes)
	p.coming = append(p.coming, testArrival{p.free + p.way, p.seq})
}

// hear has the watcher tell what has come.
func (p *testPath) hear() {
	n := 0
	for _, a := range p.coming {
		if a.at > p.now {
			break
		}
		p.watcher.Record(2, a.seq, (a.at+p.ahead)/1000)
		n++
	}
	if p.coming = p.coming[n:]; n > 0 {
		for _, q := range p.watcher.BuildFeedbackPacket() {
			p.reach.hear(q.(*prtcp.TransportLayerCC), p.gcc, p.now)
		}
	}
	p.told = append(p.told, max(p.gcc, p.reach.now()))
}

// until lets time pass until the camera sends a rate, and gives how long that took, s; more than most if it didn't.
func (p *testPath) until(rate, most float64) (took float64) {
	for ; p.sends() < rate && took <= most; took += 0.1 {
		p.run(0.1)
	}
	return took
}

// forget begins to count anew.
func (p *testPath) forget() { p.sent, p.lost, p.waited, p.bytes = 0, 0, 0, 0 }

// Once a thin path is wide again the camera is back, though the estimate isn't; and while it is thin it is used, without loss to speak of.
func TestReach(t *testing.T) {
	for _, thin := range []float64{150e3, 300e3, 800e3} {
		p := newTestPath(t)
		if took := p.until(0.8*testTarget, 15); took > 15 {
			t.Errorf("at first the camera sends %.0f kbit/s", p.sends()/1e3)
		}
		p.wide, p.gcc = thin, 105e3
		p.run(5)
		p.forget()
		p.run(40)
		through, lost, waited := float64(p.bytes)*8/40, float64(p.lost)/float64(p.sent), float64(p.waited)/float64(p.sent)/1e6
		t.Logf("of %.0f kbit/s %.0f are used, %.2f %% are lost, the rest wait %.0f ms", thin/1e3, through/1e3, 100*lost, waited)
		if through < 0.5*thin || lost > 0.03 || waited > 60 {
			t.Errorf("of %.0f kbit/s %.0f are used, %.2f %% are lost, the rest wait %.0f ms; expected half at least, 3 %% and 60 ms at most", thin/1e3, through/1e3, 100*lost, waited)
		}
		p.wide = 50e6
		took := p.until(0.8*testTarget, 15)
		t.Logf("after %.0f kbit/s the camera is back in %.1f s", thin/1e3, took)
		if took > 15 {
			t.Errorf("15 s after %.0f kbit/s the camera sends %.0f kbit/s, expected %.0f", thin/1e3, p.sends()/1e3, 0.8*testTarget/1e3)
		}
	}
}

// A path that has become longer has no queue for that; one that loses isn't asked for more; a watcher's clock may jump.
func TestReachOthers(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*testPath)
		least, most float64 // bit/s of the camera's 20 s later
	}{
		{"a longer path", func(p *testPath) { p.way += 150e6 }, 0.8 * testTarget, testTarget},
		{"a shorter path", func(p *testPath) { p.way -= 15e6 }, 0.8 * testTarget, testTarget},
		{"another clock", func(p *testPath) { p.ahead += 100e9 }, 0.8 * testTarget, testTarget},
		{"20 % of loss", func(p *testPath) { p.lose = 0.2 }, 0, 150e3},
	} {
		p := newTestPath(t)
		p.run(10)
		p.gcc = 105e3
		c.change(p)
		p.run(20)
		if n := p.sends(); n < c.least || n > c.most {
			t.Errorf("%s: the camera sends %.0f kbit/s, expected %.0f to %.0f", c.name, n/1e3, c.least/1e3, c.most/1e3)
		}
	}
	p := newTestPath(t)
	p.lose = 0.05
	p.run(30)
	if n := p.sends(); n > 0.9*p.gcc {
		t.Errorf("at 5 %% of loss the camera sends %.0f kbit/s, expected no more than the estimate's", n/1e3)
	}
}

// Feedback makes no garbage of a reach's own, whatever it tells of.
func TestReachFeedback(t *testing.T) {
	var r reach
	fb := &prtcp.TransportLayerCC{BaseSequenceNumber: 65000, PacketStatusCount: 2000, ReferenceTime: 5, PacketChunks: []prtcp.PacketStatusChunk{
		&prtcp.RunLengthChunk{PacketStatusSymbol: prtcp.TypeTCCPacketNotReceived, RunLength: 8191},
		&prtcp.StatusVectorChunk{SymbolList: []uint16{1, 2, 3}},
	}}
	now := int64(1e12)
	if n := testing.AllocsPerRun(100, func() {
		now += 1e8
		for i := range uint16(10) {
			r.send(65000+i, 1200, now)
		}
		r.hear(fb, 1e6, now)
	}); n != 0 {
		t.Errorf("a feedback makes %v allocations", n)
	}
	if rate := r.now(); rate != 0 {
		t.Errorf("of a path on which nothing comes it says %.0f bit/s", rate)
	}
	fb.PacketChunks, fb.PacketStatusCount = []prtcp.PacketStatusChunk{&prtcp.RunLengthChunk{PacketStatusSymbol: prtcp.TypeTCCPacketReceivedSmallDelta, RunLength: 9}}, 9
	r.hear(fb, 1e6, now) // deltas are missing
}
