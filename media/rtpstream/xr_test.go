package rtpstream

import (
	"encoding/binary"
	"reflect"
	"testing"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
)

const ourSSRC = 0xbeef

// metrics is a block of VoIP metrics about our stream as another implementation writes it.
func metrics() *prtcp.VoIPMetricsReportBlock {
	return &prtcp.VoIPMetricsReportBlock{SSRC: ourSSRC, LossRate: 64, DiscardRate: 32, BurstDensity: 128, GapDensity: 16, BurstDuration: 250, GapDuration: 4000,
		RoundTripDelay: 180, EndSystemDelay: 65, SignalLevel: 0xec, NoiseLevel: 0xc4, RERL: 55, Gmin: 16, RFactor: 87, ExtRFactor: 127, MOSLQ: 41, MOSCQ: 39,
		RXConfig: 3<<6 | 3<<4, JBNominal: 40, JBMaximum: 120, JBAbsMax: 300}
}

// hear hands c what a peer writes: a receiver report, then more.
func hear(t testing.TB, c *Control, more ...prtcp.Packet) {
	t.Helper()
	rr := &prtcp.ReceiverReport{SSRC: 7, Reports: []prtcp.ReceptionReport{{SSRC: ourSSRC, FractionLost: 5, TotalLost: 9}}}
	b, err := prtcp.Marshal(append([]prtcp.Packet{rr}, more...))
	if err != nil {
		t.Fatal(err)
	}
	list, err := Unmarshal(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	c.Hear(list, ourSSRC, 7, 1e9)
}

// said is what c has heard of our stream.
func said(c *Control) *media.XR {
	var in, out media.Stream
	c.Stats(&in, &out)
	return out.XR
}

func ref[T any](v T) *T { return &v }

// What another implementation writes in an extended report is understood as it was meant.
func TestExtendedReport(t *testing.T) {
	var c Control
	hear(t, &c)
	if said(&c) != nil {
		t.Error("nothing was said, yet there is something")
	}
	hear(t, &c, &prtcp.ExtendedReport{SenderSSRC: 7, Reports: []prtcp.ReportBlock{
		&prtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 1},
		&prtcp.StatisticsSummaryReportBlock{SSRC: ourSSRC, LossReports: true, LostPackets: 12, DupPackets: 3, TTLorHopLimit: prtcp.ToHMissing},
		metrics(),
	}})
	want := &media.XR{Loss: ref(25.0), Discard: ref(12.5), BurstDensity: ref(50.0), GapDensity: ref(6.25), Burst: ref(250.0), Gap: ref(4000.0), RTT: ref(180.0), Delay: ref(65.0),
		Signal: ref(-20.0), Noise: ref(-60.0), EchoLoss: ref(55.0), R: ref(87.0), MOSLQ: ref(4.1), MOSCQ: ref(3.9), Buffer: ref(40.0), BufferMax: ref(120.0), Lost: ref(int64(12)), Concealment: "standard"}
	first := said(&c)
	if !reflect.DeepEqual(first, want) {
		t.Errorf("understood %+v, expected %+v", first, want)
	}
	hear(t, &c) // says no more
	if said(&c) != first {
		t.Error("what wasn't said again has changed")
	}
	// What can't be isn't taken: ratings above 100, scores beyond 1 to 5; 0 is no round trip, 127 no level.
	odd := metrics()
	odd.RoundTripDelay, odd.EndSystemDelay, odd.SignalLevel, odd.RERL, odd.RFactor, odd.MOSLQ, odd.MOSCQ, odd.RXConfig = 0, 0, 127, 127, 101, 9, 51, 0
	hear(t, &c, &prtcp.ExtendedReport{SenderSSRC: 7, Reports: []prtcp.ReportBlock{odd}})
	if x := said(&c); x == first || x.RTT != nil || x.Delay != nil || x.Signal != nil || x.EchoLoss != nil || x.R != nil || x.MOSLQ != nil || x.MOSCQ != nil ||
		x.Concealment != "" || x.Loss == nil || x.Lost == nil || *x.Lost != 12 {
		t.Errorf("understood %+v", x)
	}
	if *first.R != 87 {
		t.Error("what somebody has read was changed")
	}
}

// What is malformed, unknown, or of another's stream says nothing, and leaves what stands beside it good.
func TestExtendedReportIgnored(t *testing.T) {
	of := func(blocks ...prtcp.ReportBlock) []byte {
		b, err := prtcp.ExtendedReport{SenderSSRC: 7, Reports: blocks}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	other := metrics()
	other.SSRC = 1
	longer, shorter, endless := of(metrics()), of(metrics(), &prtcp.ReceiverReferenceTimeReportBlock{}), of(metrics())
	longer[11]++  // the block is longer than the report
	shorter[11]-- // and too short for what it is
	binary.BigEndian.PutUint16(endless[10:], 1<<16-1)
	padded := of()
	padded[0] |= 0x20
	padded = append(padded, 0, 0, 0, 99)
	padded[3]++
	for name, b := range map[string][]byte{"of another": of(other), "longer": longer, "shorter": shorter, "endless": endless, "padded too much": padded,
		"unknown": of(&prtcp.UnknownReportBlock{XRHeader: prtcp.XRHeader{BlockType: 99}, Bytes: make([]byte, 40)}), "none": of(), "no SSRC": {0x80, typeXR, 0, 0}} {
		var c Control
		raw := prtcp.RawPacket(b)
		hear(t, &c, &raw)
		var in, out media.Stream
		c.Stats(&in, &out)
		if out.XR != nil || !out.Reported || out.Lost != 9 {
			t.Errorf("%s: %+v, reported %v, lost %d; expected the receiver report alone", name, out.XR, out.Reported, out.Lost)
		}
	}
	var c Control
	raw := prtcp.RawPacket(of(&prtcp.UnknownReportBlock{XRHeader: prtcp.XRHeader{BlockType: 99}, Bytes: make([]byte, 8)}, metrics()))
	hear(t, &c, &raw)
	if x := said(&c); x == nil || x.R == nil || *x.R != 87 {
		t.Errorf("behind an unknown block %+v is understood", x)
	}
}
