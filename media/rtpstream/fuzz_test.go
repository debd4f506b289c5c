package rtpstream

import (
	"testing"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"
)

// FuzzHeader: what we take for a packet of RTP another parser takes too, and finds the same in it.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xff})
	f.Add([]byte{0x90, 0x80, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0, 0xff})
	f.Add([]byte{0xa1, 8, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 9, 9, 9, 9, 0xff, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if !h.Parse(b) {
			return
		}
		var other prtp.Packet
		if err := other.Unmarshal(b); err != nil {
			return // of extensions it looks at the elements as well
		}
		if h.Seq != other.SequenceNumber || h.SSRC != other.SSRC {
			t.Errorf("%x: %+v, expected %+v", b, h, other.Header)
		}
		if p, ok := h.Payload(b); ok && len(p) > len(b)-HeaderSize {
			t.Errorf("%x: a payload of %d bytes", b, len(p))
		}
	})
}

// FuzzReports: nothing that is no compound packet is taken for one, and what is taken has no bounds of ours to break. Of VoIP metrics we
// understand what another parser does.
func FuzzReports(f *testing.F) {
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 1})
	f.Add([]byte{0x81, 200, 0, 12, 0, 0, 0, 1})
	for _, blocks := range [][]prtcp.ReportBlock{nil, {metrics()}, {&prtcp.StatisticsSummaryReportBlock{SSRC: ourSSRC, LossReports: true, DuplicateReports: true, LostPackets: 1 << 31}, metrics()}} {
		b, err := prtcp.Marshal([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: 7}, &prtcp.ExtendedReport{SenderSSRC: 7, Reports: blocks}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Unmarshal(b)
		if err != nil {
			return
		}
		if len(list) == 0 {
			t.Errorf("%x: neither packets nor an error", b)
		}
		var c Control
		c.Hear(list, ourSSRC, 7, 1)
		x := said(&c)
		if x != nil && (x.MOSLQ != nil && (*x.MOSLQ < 1 || *x.MOSLQ > 5) || x.R != nil && *x.R > 100 || x.Loss != nil && *x.Loss > 100) {
			t.Errorf("%x: %+v", b, x)
		}
		for _, q := range list {
			if raw, ok := q.(*prtcp.RawPacket); ok && (*raw)[0]&0x20 != 0 {
				return // the other takes padding for blocks
			}
		}
		others, err := prtcp.Unmarshal(b)
		if err != nil {
			return // we go on where an extended report is broken
		}
		var last *prtcp.VoIPMetricsReportBlock
		for _, q := range others {
			r, ok := q.(*prtcp.ExtendedReport)
			for i := 0; ok && i < len(r.Reports); i++ {
				if m, is := r.Reports[i].(*prtcp.VoIPMetricsReportBlock); is && m.SSRC == ourSSRC && m.BlockLength == voipBody/4 {
					last = m
				}
			}
		}
		if last != nil && (x == nil || x.Burst == nil || *x.Burst != float64(last.BurstDuration) || last.RFactor <= 100 && (x.R == nil || *x.R != float64(last.RFactor))) {
			t.Errorf("%x: %+v is understood as %+v", b, last, x)
		}
	})
}
