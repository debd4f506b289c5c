package rtpstream

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
)

func TestInterval(t *testing.T) {
	low, high, sum := int64(math.MaxInt64), int64(0), int64(0)
	for range 10000 {
		n := interval(5 * time.Second)
		low, high, sum = min(low, n), max(high, n), sum+n
	}
	if low < 2.05e9 || low > 2.2e9 || high > 6.16e9 || high < 6e9 || sum/10000 < 4e9 || sum/10000 > 4.2e9 {
		t.Errorf("intervals from %d to %d, %d on average", low, high, sum/10000)
	}
}

// pion reads what we write by hand as what was meant.
func TestReportsAsWritten(t *testing.T) {
	r := Report{SSRC: 1, NTP: 0x1122334455667788, TS: 3, Packets: 1<<32 + 4, Bytes: 5, Hears: true,
		About: Block{SSRC: 6, Fraction: 7, Lost: -8, Highest: 0x10009, Jitter: 10, NTP: 11, Delay: 12}}
	reports := []prtcp.ReceptionReport{{SSRC: 6, FractionLost: 7, TotalLost: 0xfffff8, LastSequenceNumber: 0x10009, Jitter: 10, LastSenderReport: 11, Delay: 12}}
	deaf := r
	deaf.Hears = false
	sr := &prtcp.SenderReport{SSRC: 1, NTPTime: r.NTP, RTPTime: 3, PacketCount: 4, OctetCount: 5}
	heard := *sr
	heard.Reports = reports
	for name := range 6 { // all lengths that end at another byte of a word
		text := "abcdefghijklmnop"[:11+name]
		for _, c := range []struct {
			r    *Report
			now  int64
			want prtcp.Packet
		}{
			{&r, 9e9, &heard},
			{&deaf, 9e9, sr},
			{&r, 10e9, &prtcp.ReceiverReport{SSRC: 1, Reports: reports}}, // it fell silent
			{&deaf, 10e9, &prtcp.ReceiverReport{SSRC: 1}},
		} {
			want, err := prtcp.Marshal([]prtcp.Packet{c.want, prtcp.NewCNAMESourceDescription(1, text), &prtcp.Goodbye{Sources: []uint32{1}}})
			if err != nil {
				t.Fatal(err)
			}
			got := c.r.Append(nil, text, c.now, 5*time.Second, true)
			if !bytes.Equal(got, want) || len(got) > MaxReport {
				t.Errorf("%T with %q is written as\n%x, expected\n%x", c.want, text, got, want)
			}
		}
	}
}

// So is what we measured, behind the report and before a BYE; a peer that asks for nothing gets nothing.
func TestMetricsAsWritten(t *testing.T) {
	r := Report{SSRC: 1, Hears: true, About: Block{SSRC: 6}, Measures: true,
		Metrics: Metrics{SSRC: 6, Loss: 7, BurstDensity: 8, GapDensity: 9, Burst: 1000, Gap: 2000, Trip: 300}}
	rr := &prtcp.ReceiverReport{SSRC: 1, Reports: []prtcp.ReceptionReport{{SSRC: 6}}}
	xr := &prtcp.ExtendedReport{SenderSSRC: 1, Reports: []prtcp.ReportBlock{&prtcp.VoIPMetricsReportBlock{SSRC: 6, LossRate: 7, BurstDensity: 8, GapDensity: 9,
		BurstDuration: 1000, GapDuration: 2000, RoundTripDelay: 300, SignalLevel: 127, NoiseLevel: 127, RERL: 127, Gmin: 16, RFactor: 127, ExtRFactor: 127, MOSLQ: 127, MOSCQ: 127}}}
	want, err := prtcp.Marshal([]prtcp.Packet{rr, prtcp.NewCNAMESourceDescription(1, "abc"), xr, &prtcp.Goodbye{Sources: []uint32{1}}})
	if err != nil {
		t.Fatal(err)
	}
	got := r.Append(nil, "abc", 9e9, 5*time.Second, true)
	if !bytes.Equal(got, want) {
		t.Errorf("written as\n%x, expected\n%x", got, want)
	}
	// What we write we understand.
	c := Control{}
	list, err := Unmarshal(got)
	if err != nil {
		t.Fatal(err)
	}
	c.Hear(list, 6, 1, 1e9)
	if x := said(&c); x == nil || *x.Loss != 700.0/256 || *x.Burst != 1000 || *x.RTT != 300 || x.R != nil || x.MOSLQ != nil || x.Signal != nil || x.EchoLoss != nil || x.Delay != nil {
		t.Errorf("understood %+v", x)
	}
	long := strings.Repeat("n", 40)
	r.Packets = 1
	if n := len(r.Append(nil, long, 1e9, 5*time.Second, true)); n > MaxReport {
		t.Errorf("%d bytes, MaxReport is %d", n, MaxReport)
	}
}
