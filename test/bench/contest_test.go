//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestContestFlags(t *testing.T) {
	c := webrtcContest()
	if err := c.parse([]string{"-rounds", "2", "-legs", "30", "-gateways", "webrtc,rtpengine", "-goal=false"}); err != nil {
		t.Fatal(err)
	}
	if c.rounds != 2 || c.legs != 30 || c.seconds != 3 || len(c.gateways) != 2 || c.goal {
		t.Errorf("got %+v", c)
	}
	if c = webrtcContest(); c.parse(nil) != nil || !c.goal {
		t.Error("a missed goal is no failure by default")
	}
	for args, want := range map[string]string{
		"-rounds 0": "-rounds is 0", "-legs 1001": "-legs is 1001", "-seconds 61": "-seconds is 61", "-gateways x": `-gateways has "x"`, "more": `got "more"`,
	} {
		if err := webrtcContest().parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", args, err, want)
		}
	}
	if err := run(t.Context(), []string{"x"}); err == nil || !strings.Contains(err.Error(), "relay|webrtc|opus") {
		t.Errorf("an unknown benchmark: %v", err)
	}
}

// One benchmark's missed goal is told in the end, and keeps no other from running.
func TestAllRunOn(t *testing.T) {
	ran := ""
	fails := func(name string, err error) part {
		return part{name, func(_ context.Context, args []string) error { ran += name + strings.Join(args, ""); return err }}
	}
	missed := errors.New("the goal is missed")
	err := all(t.Context(), []part{fails("a", missed), fails("b", nil), fails("c", missed)}, []string{"-x"})
	if ran != "a-xb-xc-x" || err == nil || err.Error() != "a: the goal is missed\nc: the goal is missed" {
		t.Errorf("ran %q: %v", ran, err)
	}
	if err := all(t.Context(), []part{fails("a", nil)}, nil); err != nil {
		t.Error(err)
	}
}

// Ratios are taken within rounds, and goals are judged only if all that they compare with was measured.
func TestContestGoals(t *testing.T) {
	s := &standing{webrtcContest(), map[string][]outcome{
		kindWebRTC:         {{Unit: 7, SetUp: 1.1, RSS: 61, Goroutines: 0}, {Unit: 14, SetUp: 1.3, RSS: 55}, {Unit: 7, SetUp: 1.1, RSS: 70, Goroutines: 0.01}},
		rtpengineGateway:   {{Unit: 10, Goroutines: -1}, {Unit: 20, Goroutines: -1}, {Unit: 9, Goroutines: -1}},
		kindPeerConnection: {{Unit: 14}, {Unit: 28}, {Unit: 20}},
	}}
	var b bytes.Buffer
	s.print(&b)
	for _, want := range []string{"7.00 [7.00..14.00]", "0.70 [0.70..0.78]", "0.50 [0.35..0.50]", "CPU us/forward"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	b.Reset()
	if missed := judge(&b, webrtcGoals(s)); missed != 2 {
		t.Errorf("%d goals missed, expected 2:\n%s", missed, b.String())
	}
	said := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"400 WebRTC legs 0.70 times rtpengine goal 0.75 at most met", "0.50 times PeerConnection goal 0.45 at most MISSED",
		"1.10 ms goal 1.20 at most met", "61 kB goal 60 at most MISSED", "asleep, 400 WebRTC legs 0.00 goal 0.02 at most met",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the verdicts lack %q:\n%s", want, b.String())
		}
	}
	delete(s.outcomes, rtpengineGateway)
	if g := webrtcGoals(s); len(g) != 0 {
		t.Errorf("goals without a peer: %v", g)
	}
}

func TestBencode(t *testing.T) {
	var b bytes.Buffer
	bencode(&b, []entry{{"command", "offer"}, {"flags", []string{"a", "bc"}}, {"codec", []entry{{"mask", []string{"all"}}}}})
	if got, want := b.String(), "d7:command5:offer5:flagsl1:a2:bce5:codecd4:maskl3:allee"+"e"; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
	if s, ok := bencoded("7_1 d3:sdp5:v=0\r\n6:result2:oke", "sdp"); !ok || s != "v=0\r\n" {
		t.Errorf("got %q, %v", s, ok)
	}
	for _, bad := range []string{"", "d6:result5:errore", "d3:sdp99:v=0e", "d3:sdpx:v=0e"} {
		if s, ok := bencoded(bad, "sdp"); ok {
			t.Errorf("%q has %q", bad, s)
		}
	}
}

// Each gateway of ours bridges: what its clients say comes back, or comes through.
func TestGateways(t *testing.T) {
	for _, g := range []struct{ gateway, load string }{{kindWebRTC, kindWebRTC}, {kindPeerConnection, kindWebRTC}, {kindOpus, kindOpus}} {
		t.Run(g.gateway, func(t *testing.T) {
			at := serveGateway(t, g.gateway)
			j := job{kind: g.load, gateway: at, pid: os.Getpid(), legs: 2, seconds: 1, warmUp: 500 * time.Millisecond}
			do := j.browsers
			if g.load == kindOpus {
				do = j.talkers
			}
			o, err := do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if o.Unit <= 0 || o.SetUp <= 0 || o.Goroutines < 0 || o.Loss > 20 {
				t.Errorf("got %+v", o)
			}
			if g.load == kindWebRTC && (o.P50 <= 0 || o.P99 < o.P50 || !strings.Contains(o.Note, "AEAD_AES")) {
				t.Errorf("got %+v", o)
			}
		})
	}
	if _, err := newSwitchboard("x"); err == nil {
		t.Error("an unknown gateway was made")
	}
}

func serveGateway(t *testing.T, kind string) string {
	t.Helper()
	b, err := newSwitchboard(kind)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "gateway")
	l, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := serveOrders(ctx, l, b); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return at
}

// What can't be answered is an error, not the end of the gateway.
func TestOrderRefused(t *testing.T) {
	j := job{gateway: serveGateway(t, kindWebRTC)}
	o, err := j.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := o.call("", order{Offer: "nonsense"}); err == nil {
		t.Error("nonsense was answered")
	}
	if r, err := o.call("", order{}); err != nil || r.Goroutines == 0 {
		t.Errorf("a report after it: %+v, %v", r, err)
	}
}
