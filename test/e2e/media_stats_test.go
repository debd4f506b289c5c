//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"testing"

	"github.com/patchbay/patchbay/web/webtest"
)

// beside is one member of our statistics beside what the page counts of the same.
type beside struct {
	what         string
	ours, theirs float64
	part, least  float64 // how much of theirs, and how much at least, they may differ by
}

func (m beside) true() bool {
	return math.Abs(m.ours-m.theirs) <= max(m.part*math.Abs(m.theirs), m.least)
}

// probing is how many packets without content a browser sends at a call's beginning, at most.
const probing = 40

// one is the only one of a list of statistics that has a member of that value; nil if there are others.
func one(list []o, name string, value any) (found o) {
	for _, s := range list {
		if name == "" || s[name] == value {
			if found != nil {
				return nil
			}
			found = s
		}
	}
	return found
}

// stats: when nothing flows any more, what an endpoint's getStats counted and what Chromium counted of the same is the same.
func (r *tutorials) stats(t *testing.T, page *webtest.Page) {
	from := r.on(page, "counted", webtest.CallConfig{Camera: "320x180", Data: true})
	to := r.on(page, "counting", webtest.CallConfig{Watches: true})
	r.step("connect", o{"from": from.name, "to": to.name}, nil)
	r.step("connect", o{"from": from.name, "to": from.name, "kind": "DATA"}, nil)
	to.sees(320, 180)
	if !eventually(videoPatience, func() bool {
		_, state, err := from.page.Said(r.ctx)
		r.must(err)
		return state == "open"
	}) {
		t.Error("no data channel opens")
	}
	r.must(from.page.Say(r.ctx, "twelve bytes"))
	if !eventually(videoPatience, func() bool {
		s, _ := from.shows("outbound-rtp")
		got := from.tracks(true)
		return len(got) == 1 && near(member(got[0], "framesPerSecond"), member(s, "framesPerSecond"), 3) && member(s, "framesSent") > 30 &&
			got[0]["frameWidth"] == s["frameWidth"] && got[0]["frameHeight"] == s["frameHeight"]
	}) {
		s, _ := from.shows("outbound-rtp")
		t.Errorf("the page sends %v, getStats tells of %v", s, from.tracks(true))
	}
	r.must(from.page.Pause(r.ctx))
	var all []beside
	var missing string
	if !eventually(videoPatience, func() bool {
		all, missing = from.compare(true)
		more, none := to.compare(false)
		all, missing = append(all, more...), missing+none
		for _, m := range all {
			if !m.true() {
				return false
			}
		}
		return missing == ""
	}) {
		if missing != "" {
			t.Errorf("there is no %s", missing)
		}
		for _, m := range all {
			if !m.true() {
				t.Errorf("getStats says of %s %g, Chromium %g; expected to differ by %g, or %g of it", m.what, m.ours, m.theirs, m.least, m.part)
			}
		}
	}
	t.Logf("%d members are true", len(all))
	from.ends()
	to.ends()
}

func near(a, b, by float64) bool { return math.Abs(a-b) <= by }

// compare holds an endpoint's statistics against its page's: those of what comes from the page, or of what goes to it.
func (v *viewer) compare(comes bool) (all []beside, missing string) {
	v.t.Helper()
	theirs, err := v.page.Stats(v.ctx)
	v.must(err)
	find := func(kind, member string, value any) o {
		for _, s := range theirs {
			if s["type"] == kind && (member == "" || s[member] == value) {
				return s
			}
		}
		missing += fmt.Sprintf("%s of %s's page; ", kind, v.name)
		return o{}
	}
	ours := func(kind, member string, value any) o {
		if s := one(v.counts(kind), member, value); s != nil {
			return s
		}
		missing += fmt.Sprintf("single %s of %s; ", kind, v.name)
		return o{}
	}
	add := func(what string, ours, theirs, part, least float64) {
		all = append(all, beside{v.name + "'s " + what, ours, theirs, part, least})
	}
	streams := func(kind, codec string) {
		way, count, from, to, probes := "Received", "Sent", "outboundrtp", "inbound-rtp", 0.0
		if comes { // it fills up its path with packets of no content, to see what that takes
			way, count, from, to, probes = "Sent", "Received", "inboundrtp", "outbound-rtp", probing
		}
		mine, other := ours(from, "codecId", codec), find(to, "kind", kind)
		if mine["ssrc"] != fmt.Sprintf("%.0f", member(other, "ssrc")) {
			missing += fmt.Sprintf("%s with the ssrc %.0f, but %v; ", kind, member(other, "ssrc"), mine["ssrc"])
		}
		add(kind+" packets", member(mine, "packets"+count), member(other, "packets"+way)-member(other, "retransmittedPackets"+way), 0.02, 3+probes)
		add(kind+" bytes", member(mine, "bytes"+count), member(other, "bytes"+way)-member(other, "retransmittedBytes"+way), 0.02, 2000+300*probes)
		if comes {
			report := find("remote-inbound-rtp", "kind", kind)
			add(kind+" packetsLost", member(mine, "packetsLost"), member(report, "packetsLost"), 0, 1)
		} else {
			add(kind+" packetsLost", member(mine, "packetsLost"), member(other, "packetsLost"), 0, 1)
		}
		if kind == "audio" {
			return
		}
		for _, asked := range []string{"pliCount", "nackCount", "firCount"} { // which may be lost themselves
			add(asked, member(mine, asked), member(other, asked), 0.1, 1)
		}
		track := ours("track", "remoteSource", comes)
		add("framesPerSecond once nothing flows", member(track, "framesPerSecond"), 0, 0, 0)
		add("frames", member(track, "frames"+count), member(other, "frames"+way), 0, 2)
		if comes { // the page has forgotten
			return
		}
		add("frameWidth", member(track, "frameWidth"), member(other, "frameWidth"), 0, 0)
		add("frameHeight", member(track, "frameHeight"), member(other, "frameHeight"), 0, 0)
	}
	streams("video", "VP8/90000")
	streams("audio", "OPUS/48000/2")
	v.path(find, ours, add)
	if !comes {
		return all, missing
	}
	mine, other := ours("datachannel", "label", "data"), find("data-channel", "label", "data")
	for _, m := range []string{"messages", "bytes"} {
		add("data "+m+" that came", member(mine, m+"Received"), member(other, m+"Sent"), 0, 0)
		add("data "+m+" that went", member(mine, m+"Sent"), member(other, m+"Received"), 0, 0)
	}
	add("data channel's id", member(mine, "datachannelid"), member(other, "dataChannelIdentifier"), 0, 0)
	add("open channels", member(ours("session", "", nil), "dataChannelsOpened"), member(find("peer-connection", "", nil), "dataChannelsOpened"), 0, 0)
	return all, missing
}

// path compares what both sides say of the way between them.
func (v *viewer) path(find, ours func(kind, member string, value any) o, add func(what string, ours, theirs, part, least float64)) {
	transport := find("transport", "", nil)
	pair := find("candidate-pair", "id", transport["selectedCandidatePairId"])
	mine := ours("candidatepair", "nominated", true)
	add("bytes sent", member(mine, "bytesSent"), member(pair, "bytesReceived"), 0.02, 3000)
	add("bytes received", member(mine, "bytesReceived"), member(pair, "bytesSent"), 0.02, 3000)
	add("roundTripTime", member(mine, "roundTripTime"), member(pair, "currentRoundTripTime"), 0, 5)
	for kind, whose := range map[string]string{"localcandidate": "remoteCandidateId", "remotecandidate": "localCandidateId"} {
		c, other := ours(kind, "", nil), find(map[string]string{"localcandidate": "remote-candidate", "remotecandidate": "local-candidate"}[kind], "id", pair[whose])
		add(kind+"'s port", member(c, "portNumber"), member(other, "port"), 0, 0)
		add(kind+"'s address and transport are the same", btof(c["ipAddress"] == other["address"] && c["transport"] == other["protocol"]), 1, 0, 0)
	}
	over := ours("transport", "selectedCandidatePairId", mine["id"])
	add("transport bytes sent", member(over, "bytesSent"), member(transport, "bytesReceived"), 0.02, 3000)
	add("transport bytes received", member(over, "bytesReceived"), member(transport, "bytesSent"), 0.02, 3000)
	add("DTLS is up", btof(over["activeConnection"] == true), btof(transport["dtlsState"] == "connected"), 0, 0)
}

func btof(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
