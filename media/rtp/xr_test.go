package rtp

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

func measures(c *Config) { c.Metrics = true }

// metricsIn finds the block of VoIP metrics among reports as another implementation reads them.
func metricsIn(list []prtcp.Packet) *prtcp.VoIPMetricsReportBlock {
	for _, q := range list {
		raw, ok := q.(*prtcp.RawPacket)
		if !ok {
			continue
		}
		var x prtcp.ExtendedReport
		if x.Unmarshal(*raw) != nil {
			continue
		}
		for _, b := range x.Reports {
			if m, ok := b.(*prtcp.VoIPMetricsReportBlock); ok {
				return m
			}
		}
	}
	return nil
}

// A phone that asks for metrics gets them with the reports, of what it sent; who doesn't ask isn't asked back, and gets none.
func TestMetricsAreSentToWhoAsks(t *testing.T) {
	for _, asks := range []bool{true, false} {
		d, one := newDesk(t, func(c *Config) { measures(c); often(c) }), newPhone(t, "127.0.0.1")
		lines := []string{"m=audio %d RTP/AVP 0"}
		if asks {
			lines = append(lines, "a=rtcp-xr:voip-metrics")
		}
		p, err := d.Answer(context.Background(), one.sdp(lines...), media.Want{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(p.SDP(), []byte("a=rtcp-xr:voip-metrics stat-summary=loss,dup\r\n")) != asks {
			t.Errorf("asked %v, answered\n%s", asks, p.SDP())
		}
		one.to = d.LocalAddr()
		for i := range 64 {
			if i == 40 {
				one.seq++ // one is lost
			}
			one.say(1)
		}
		await(t, "the packets", func() bool { in, _ := d.counts(); return in.Packets == 64 })
		list := one.reported(func(l []prtcp.Packet) bool {
			rr, ok := l[0].(*prtcp.ReceiverReport)
			return ok && len(rr.Reports) == 1 && uint16(rr.Reports[0].LastSequenceNumber) == one.seq-1
		})
		m := metricsIn(list)
		if !asks {
			if m != nil {
				t.Errorf("who asks for nothing gets %+v", m)
			}
			continue
		}
		if m == nil {
			t.Fatalf("no metrics in %v", list)
		}
		if m.SSRC != one.ssrc || m.LossRate != 3 || m.DiscardRate != 0 || m.GapDensity != 3 || m.BurstDensity != 0 || m.BurstDuration != 0 || m.GapDuration != 65*20 || m.Gmin != 16 || m.RFactor != 127 {
			t.Errorf("metrics %+v", m)
		}
	}
}

// Offers ask, the later ones as what stands; where it is switched off they don't, and nobody is told.
func TestOffersAskForMetrics(t *testing.T) {
	asks := func(o media.Offer) bool { return bytes.Contains(o.SDP(), []byte("a=rtcp-xr:voip-metrics")) }
	for _, on := range []bool{true, false} {
		d, one := newDesk(t, func(c *Config) { c.Metrics = on }), newPhone(t, "127.0.0.1")
		for range 2 {
			o, err := d.Offer(context.Background(), media.Want{})
			if err != nil {
				t.Fatal(err)
			}
			if asks(o) != on {
				t.Errorf("metrics %v: offered\n%s", on, o.SDP())
			}
			if err := o.Accept("", one.sdp("m=audio %d RTP/AVP 0", "a=rtcp-xr:voip-metrics")); err != nil {
				t.Fatal(err)
			}
			if err := o.Commit(""); err != nil {
				t.Fatal(err)
			}
			if a := d.agreed.Load(); (a.measured == 20) != on {
				t.Errorf("metrics %v: packets of %d ms are measured", on, a.measured)
			}
		}
	}
	// A phone that says nothing of it isn't asked by a re-offer either: the description stays as it is.
	d, one := newDesk(t, measures), newPhone(t, "127.0.0.1")
	p, err := d.Answer(context.Background(), one.sdp("a=rtpmap:8 PCMA/8000"), media.Want{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	again, err := d.Offer(context.Background(), media.Want{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Rollback()
	before, err1 := sdp.Parse(p.SDP())
	after, err2 := sdp.Parse(again.SDP())
	if err := errors.Join(err1, err2); err != nil || asks(again) || before.Origin.Version != after.Origin.Version {
		t.Errorf("%v; offered again\n%s\nafter\n%s", err, again.SDP(), p.SDP())
	}
}

// Comfort noise that nobody has agreed on is silence, no packet of unknown kind, and leaves no gap in what is relayed.
func TestComfortNoiseIsSilence(t *testing.T) {
	d, one := newDesk(t, nil), newPhone(t, "127.0.0.1")
	d.call(one, "m=audio %d RTP/AVP 0")
	at := int64(1e12)
	send := func(b []byte) { d.inject(b, one.addr(), at) }
	for range 10 {
		send(one.packet(tone(1)))
		at += 20e6
	}
	one.pt = rtpstream.ComfortNoise
	for range 20 { // every 100 ms, as some do
		send(one.packet([]byte{0x40}))
		one.ts += 640
		at += 100e6
	}
	one.pt = 0
	for range 10 {
		send(one.packet(tone(1)))
		at += 20e6
	}
	got, _ := d.counts()
	if got.Silence != 2*time.Second || got.Packets != 40 || got.Lost != 0 {
		t.Errorf("%v of silence, %d packets, %d lost; expected 2 s, 40 and none", got.Silence, got.Packets, got.Lost)
	}
	var s media.Snapshot
	if d.Stats(&s); s.Notes["rtp.unknown"] != 0 {
		t.Errorf("%v packets are of an unknown kind", s.Notes["rtp.unknown"])
	}
}

func TestMetricsDoNotAllocate(t *testing.T) {
	in := inject(t)
	a := *in.a.agreed.Load()
	a.measured = 20
	before := in.a.rtcp.Stats().BytesOut
	now := in.now
	if n := testing.AllocsPerRun(100, func() { now += 5e9; in.a.sendControl(&a, now, false) }); n != 0 {
		t.Errorf("a report with metrics allocates %v times", n)
	}
	if in.a.rtcp.Stats().BytesOut == before {
		t.Error("nothing was sent")
	}
}
