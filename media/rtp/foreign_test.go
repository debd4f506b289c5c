package rtp

import (
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media/rtpstream"
)

// A peer that isn't ours finds out itself what it has lost, asks for it, and gets all of it.
func TestAgainForeign(t *testing.T) {
	v := newViewer(t, "96", "a=rtcp-fb:96 nack\r\n")
	v.send(0, 500)
	_, first := v.next()
	factory, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(20 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	asker, err := factory.NewInterceptor("")
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	asker.BindRTCPWriter(interceptor.RTCPWriterFunc(func(list []prtcp.Packet, _ interceptor.Attributes) (int, error) {
		b, err := prtcp.Marshal(append([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: 7}}, list...)) // reduced size isn't agreed
		if err != nil {
			return 0, err
		}
		return v.conn.WriteToUDPAddrPort(b, v.e.video.LocalAddr())
	}))
	lost, got := map[uint16]bool{}, map[uint16]bool{}
	stream := asker.BindRemoteStream(&interceptor.StreamInfo{SSRC: first.SSRC, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}}},
		interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
			for {
				_ = v.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
				n, err := v.conn.Read(b)
				if err != nil {
					return 0, nil, err
				}
				if rtpstream.IsControl(b[:n]) {
					continue
				}
				number := uint16(b[2])<<8 | uint16(b[3])
				if number%7 == 0 && !lost[number] {
					lost[number] = true
					continue
				}
				got[number] = true
				return n, a, nil
			}
		}))
	const many = 60
	whole := func() bool {
		for i := uint16(10); i < many; i++ { // what is before the first that it sees it can't miss
			if !got[first.SequenceNumber+1+i] {
				return false
			}
		}
		return true
	}
	b := make([]byte, 1600)
	for i, end := uint16(1), time.Now().Add(60*time.Second); !whole(); i++ {
		if time.Now().After(end) {
			t.Fatalf("%d packets came, %d were lost: %+v", len(got), len(lost), v.e.video.sink.stats())
		}
		v.send(i, 500)
		for err = nil; err == nil; {
			_, _, err = stream.Read(b, interceptor.Attributes{})
		}
	}
	if st := v.e.video.sink.stats(); len(lost) < 5 || st.Resent < 5 || st.NACKs == 0 {
		t.Errorf("%d packets were lost; asked %d times, %d sent again", len(lost), st.NACKs, st.Resent)
	}
}
