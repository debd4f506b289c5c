package webrtc

import (
	"bytes"
	"context"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// asking has an offer ask for VoIP metrics of its line of audio.
func asking(offer []byte) []byte {
	head, rest, _ := bytes.Cut(offer, []byte("m=audio "))
	line, rest, _ := bytes.Cut(rest, []byte("\r\n"))
	return bytes.Join([][]byte{head, []byte("m=audio "), line, []byte("\r\na=rtcp-xr:voip-metrics\r\n"), rest}, nil)
}

// heardSo is an extended report that an asked peer sends, about that stream of ours.
func heardSo(ours uint32) []prtcp.Packet {
	return []prtcp.Packet{
		&prtcp.ReceiverReport{SSRC: 7, Reports: []prtcp.ReceptionReport{{SSRC: ours, TotalLost: 2}}},
		&prtcp.ExtendedReport{SenderSSRC: 7, Reports: []prtcp.ReportBlock{&prtcp.VoIPMetricsReportBlock{SSRC: ours, DiscardRate: 64, RFactor: 80, MOSLQ: 40, MOSCQ: 38}}},
	}
}

// A peer of pion's that asks for VoIP metrics gets them, and what it says when it is asked is taken; who doesn't ask gets none.
func TestMetrics(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		for _, asks := range []bool{true, false} {
			l, b := newLeg(t, newPort(t, func(c *PortConfig) { c.Report = 100 * time.Millisecond }), func(c *Config) { c.Stack, c.Metrics = s, true }), newBrowser(t, webrtctest.Config{})
			offer := must[[]byte](t)(b.Offer(context.Background(), false))
			if asks {
				offer = asking(offer)
			}
			answer := l.answered(offer, media.Want{Formats: []*media.Format{media.PCMU()}})
			if err := b.Accept(answer); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(answer, []byte("a=rtcp-xr:voip-metrics")) != asks {
				t.Errorf("asked %v, answered\n%s", asks, answer)
			}
			isUp(t, b)
			voice := mediatest.NewTalker(nil, media.PCMU())
			voice.Link(b.Sink(media.Pad{}))
			defer voice.Close()
			reports := func() bool { in, _ := l.counts(); voice.Say(tone(1)); return in.Packets > 20 && l.control.Spoken() }
			await(t, "a report", reports)
			if !asks {
				if m := b.Metrics(); m != nil {
					t.Errorf("who asks for nothing gets %+v", m)
				}
				continue
			}
			await(t, "the metrics", func() bool { voice.Say(tone(1)); return b.Metrics() != nil })
			if m := b.Metrics(); m.LossRate != 0 || m.Gmin != 16 || m.RFactor != 127 || m.GapDuration == 0 {
				t.Errorf("metrics %+v", m)
			}
			_, out := l.counts()
			if err := b.Report(heardSo(out.SSRC)...); err != nil {
				t.Fatal(err)
			}
			await(t, "what the peer says", func() bool { _, out = l.counts(); return out.XR != nil })
			if x := out.XR; *x.Discard != 25 || *x.R != 80 || *x.MOSCQ != 3.8 {
				t.Errorf("understood %+v", x)
			}
			// What else stands in a compound packet is taken likewise.
			in, _ := l.counts()
			if err := b.Report(&prtcp.ReceiverReport{SSRC: 7}, &prtcp.Goodbye{Sources: []uint32{in.SSRC}}); err != nil {
				t.Fatal(err)
			}
			await(t, "the peer's BYE", func() bool { return len(notices[media.Gone](l)) == 1 })
			if n := l.notes()["webrtc.malformed"]; n != 0 {
				t.Errorf("%v packets are malformed", n)
			}
		}
	})
}

// With pictures beside it, over full ICE, what a peer says of audio stands with audio.
func TestMetricsBesidePictures(t *testing.T) {
	l := newLeg(t, port(t), func(c *Config) { c.Video, c.Data, c.Metrics = pictures(), true, true })
	s := must[*webrtctest.Screen](t)(webrtctest.NewScreen(webrtctest.ScreenConfig{Camera: true, Audio: true}))
	t.Cleanup(func() { _ = s.Close() })
	answer := l.answered(asking(must[[]byte](t)(s.Offer(context.Background()))), media.Want{})
	if err := s.Accept(answer); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(answer, []byte("a=rtcp-xr:voip-metrics")); n != 1 {
		t.Errorf("%d lines ask for metrics, expected that of audio alone\n%s", n, answer)
	}
	select {
	case <-s.Connected():
	case <-time.After(30 * time.Second):
		t.Fatal("not connected")
	}
	shoot(t, s, "VP8", 1)
	source, own := videoOf(t, l)
	source.Link(own)
	await(t, "pictures both ways", func() bool { return s.Seen().Pictures > 0 })
	_, out := l.counts()
	var all media.Snapshot
	await(t, "what the peer says", func() bool {
		if err := s.Report(heardSo(out.SSRC)...); err != nil {
			t.Fatal(err)
		}
		all = media.Snapshot{}
		l.Stats(&all)
		return all.Streams[1].XR != nil
	})
	for i, st := range all.Streams {
		if (st.XR != nil) != (i == 1) {
			t.Errorf("stream %d of %v: the peer says %+v", i, st.Format, st.XR)
		}
	}
	if x := all.Streams[1].XR; *x.Discard != 25 || *x.R != 80 || *x.MOSLQ != 4 {
		t.Errorf("understood %+v", x)
	}
}
