//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// scoreWithin is how far a MOS may be from what the way's own log says.
const scoreWithin = 0.15

// packetsLeast is what a way must have seen for its log to say anything.
const packetsLeast = 250

// point is a way that a phone's media takes.
type point struct {
	lose  float64       // percent
	shake time.Duration // that packets are late at most
	trip  time.Duration // of reports
	phone *peers.Baresip
	way   *peers.Impairer
	told  *peers.Impairer // the way of its reports
}

// Three phones call over ways that lose and delay what they say: MOS on record is that which G.107 makes of the ways' own logs.
func TestBillingQuality(t *testing.T) {
	addr, front, carrier := address(t), peers.Address(t), netip.AddrPortFrom(peers.Address(t), 5060)
	capture := peers.StartCapture(t)
	peers.StartSIPp(t, peers.SIPpConfig{Name: "bob", Scenario: "sipp/answer.xml", Bind: carrier, RTPEcho: true})
	points := []*point{{}, {lose: 3, shake: 40 * time.Millisecond, trip: 100 * time.Millisecond}, {lose: 12, shake: 15 * time.Millisecond, trip: 500 * time.Millisecond}}
	users := ""
	for n := range points {
		users += fmt.Sprintf("  - {id: alice%d, password: wonder-land-1, numbers: [\"10%d\"]}\n", n, n)
	}
	g := startGateway(t, addr, settings{
		advertise: front, users: users,
		trunks: fmt.Sprintf("  - {id: telco, mode: address, proxy: \"%s\", addresses: [%s], media: {bind: %s}}\n", carrier, carrier.Addr(), addr),
		routes: "  - {id: out, source: user, number: \"*\", to: [{trunk: telco}]}\n",
	})
	for n, p := range points {
		p.phone = peers.StartBaresip(t, peers.BaresipConfig{User: fmt.Sprintf("alice%d", n), Password: "wonder-land-1", Domain: "test.local",
			Proxy: g.sip.String(), Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	}
	for _, p := range points {
		p.phone.Dial(t, "sip:4930111@test.local")
	}
	for _, p := range points {
		p.begin(t, capture, front, addr)
	}
	peers.Wait(t, 30*time.Second, "enough packets, and a report of each phone, which it makes every 5 s", func() bool {
		return !slices.ContainsFunc(points, func(p *point) bool { return len(p.way.Log()) < packetsLeast || len(p.told.Log()) == 0 })
	})
	time.Sleep(200 * time.Millisecond) // the gateway reads it
	for _, p := range points {
		p.phone.Hangup(t)
	}
	g.records(t, len(points))
	for n, p := range points {
		rows := g.db.Query(t, `select q.mos_lq::float8 lq, q.mos_cq::float8 cq, q.lost::float8 lost, q.rtt_ms::float8 rtt, q.pkts, q.src_rejected from patchbay.leg_quality q join patchbay.call c using (call_id, started_at)
where q.leg_no = 1 and q.stream = 'in' and q.bucket = 0 and c.a_raw like $1`, fmt.Sprintf("%%10%d", n))
		if len(rows) != 1 {
			t.Errorf("phone %d: %d rows of its leg, expected 1", n, len(rows))
			continue
		}
		p.compare(t, n, rows[0])
	}
}

var (
	audioPort    = regexp.MustCompile(`m=audio (\d+)`)
	mediaAddress = regexp.MustCompile(`c=IN IP4 ([0-9.]+)`)
)

// begin puts the way between the phone and the port that it was told.
func (p *point) begin(t *testing.T, capture *peers.Capture, front, addr netip.Addr) {
	t.Helper()
	answer, ok := capture.Find(10*time.Second, func(q peers.Packet) bool {
		return q.Dst == p.phone.SIP && strings.HasPrefix(string(q.Data), "SIP/2.0 200") && audioPort.Match(q.Data)
	})
	if !ok {
		t.Fatalf("%s gets no answer within 10 s", p.phone.User)
	}
	port, err := strconv.Atoi(audioPort.FindStringSubmatch(string(answer.Data))[1])
	if err != nil {
		t.Fatal(err)
	}
	offer, ok := capture.Find(time.Second, func(q peers.Packet) bool {
		return q.Src == p.phone.SIP && strings.HasPrefix(string(q.Data), "INVITE ") && mediaAddress.Match(q.Data)
	})
	if !ok {
		t.Fatalf("%s has sent no INVITE with SDP", p.phone.User)
	}
	from, err := netip.ParseAddr(string(mediaAddress.FindSubmatch(offer.Data)[1])) // packets from elsewhere wouldn't be its
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: media from %v to port %d", p.phone.User, from, port)
	at := func(a netip.Addr, more int) netip.AddrPort { return netip.AddrPortFrom(a, uint16(port+more)) }
	p.way = peers.StartImpairer(t, at(front, 0), at(addr, 0), from)
	p.way.Lose(p.lose)
	p.way.Delay(0, p.shake)
	p.told = peers.StartImpairer(t, at(front, 1), at(addr, 1), from)
	p.told.Delay(p.trip, 0)
}

// compare holds a leg's row against the way's log.
func (p *point) compare(t *testing.T, n int, row map[string]any) {
	t.Helper()
	got := func(name string) float64 {
		v, ok := row[name].(float64)
		if !ok {
			t.Errorf("phone %d: %s is %v, expected a number", n, name, row[name])
		}
		return v
	}
	if row["pkts"] == int64(0) {
		t.Fatalf("phone %d: nothing came, %v rejected", n, row["src_rejected"])
	}
	w := judge(p.way.Log())
	if w.packets < packetsLeast || p.lose > 0 && w.lost == 0 {
		t.Fatalf("phone %d: %d packets and %d lost by the way's log", n, w.packets, w.lost)
	}
	delay := float64(p.trip.Milliseconds())/2 + 20 + min(200, max(20, 2*w.jitter))
	lq, cq := g107(w, 0), g107(w, delay)
	t.Logf("phone %d: %d packets, %d lost in %d runs, jitter %.1f ms; MOS %.2f and %.2f, on record %.2f and %.2f (%v lost, %v ms)",
		n, w.packets, w.lost, w.runs, w.jitter, lq, cq, got("lq"), got("cq"), got("lost"), got("rtt"))
	if d := math.Abs(got("lq") - lq); d > scoreWithin {
		t.Errorf("phone %d: listening MOS %.2f, expected %.2f ± %g", n, got("lq"), lq, scoreWithin)
	}
	if d := math.Abs(got("cq") - cq); d > scoreWithin {
		t.Errorf("phone %d: conversational MOS %.2f, expected %.2f ± %g", n, got("cq"), cq, scoreWithin)
	}
}

// judged is what a log says.
type judged struct {
	packets, lost, runs int
	jitter              float64 // ms; 95 of 100 samples are below
}

// judge takes an RTP stream's log: in the order of the numbers what was lost, in that of leaving how unevenly it came (RFC 3550 A.8).
func judge(log []peers.Passage) (w judged) {
	var last *peers.Passage
	var jitter float64
	var samples []float64
	gone := map[uint16]bool{}
	var numbers []uint16
	for i := range log {
		p := &log[i]
		number := binary.BigEndian.Uint16(p.Head[2:])
		numbers = append(numbers, number)
		if gone[number] = p.Left.IsZero(); gone[number] {
			w.lost++
			continue
		}
		if last != nil {
			media := float64(int32(binary.BigEndian.Uint32(p.Head[4:])-binary.BigEndian.Uint32(last.Head[4:]))) / 8
			jitter += (math.Abs(float64(p.Left.Sub(last.Left))/1e6-media) - jitter) / 16
			samples = append(samples, jitter)
		}
		last = p
	}
	for _, number := range numbers {
		if gone[number] && !gone[number-1] {
			w.runs++
		}
	}
	w.packets = len(log)
	slices.Sort(samples)
	if len(samples) > 0 {
		w.jitter = samples[len(samples)*95/100]
	}
	return w
}

// g107 is the MOS of G.711 with concealment: the E-model with the defaults of all that a log doesn't have (ITU-T G.107 7.3, 7.4,
// Annex B), written for this comparison alone; what the delay takes away is the usual two straight lines.
func g107(w judged, delay float64) float64 {
	share := float64(w.lost) / float64(w.packets)
	burst := 1.0
	if w.runs > 0 {
		burst = max(1, float64(w.lost)/float64(w.runs)/(1/(1-share)))
	}
	effective := 95 * 100 * share / (100*share/burst + 25.1)
	r := 93.2 - effective - 0.024*delay
	if delay > 177.3 {
		r -= 0.11 * (delay - 177.3)
	}
	return 1 + 0.035*r + r*(r-60)*(100-r)*7e-6
}
