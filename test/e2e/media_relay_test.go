//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/web/webtest"
)

// stand opens a page for many calls of it: a call each that shows, or watches.
func (r *tutorials) stand() *webtest.Page {
	r.t.Helper()
	page, err := r.browser.Open(r.ctx, r.site)
	r.must(err)
	return page
}

// on has a call of a page connect to an endpoint of its own.
func (r *tutorials) on(page *webtest.Page, name string, cfg webtest.CallConfig) *viewer {
	r.t.Helper()
	cfg.Name = name
	return r.joins(page, name, cfg, false)
}

// ends hangs up.
func (v *viewer) ends() {
	v.t.Helper()
	v.step("release", o{"name": v.name}, nil)
	v.must(v.page.Close(v.ctx))
}

// set changes a property of the endpoint's.
func (v *viewer) set(method string, value any) {
	v.t.Helper()
	v.step("invoke", o{"name": v.name, "method": method, "args": []any{value}}, nil)
}

// shows is what the page's own statistics say of pictures in one direction, inbound-rtp or outbound-rtp; of a simulcast, of its largest.
func (v *viewer) shows(kind string) (s o, codec string) {
	v.t.Helper()
	all, err := v.page.Stats(v.ctx)
	v.must(err)
	for _, n := range all {
		if n["type"] == kind && n["kind"] == "video" && member(n, "frameWidth") >= member(s, "frameWidth") {
			s = n
			codec, _ = all[fmt.Sprint(n["codecId"])]["mimeType"].(string)
		}
	}
	return s, codec
}

// member is one of statistics, 0 if it isn't there.
func member(s o, name string) float64 {
	n, _ := s[name].(float64)
	return n
}

// tracks are what an endpoint's statistics say of pictures that come or go.
func (v *viewer) tracks(comes bool) (list []o) {
	v.t.Helper()
	for _, s := range v.counts("track") {
		if s["remoteSource"] == comes {
			list = append(list, s)
		}
	}
	return list
}

// codecs: what Chromium encodes in each codec Chromium decodes, and both sides know its size.
func (r *tutorials) codecs(t *testing.T, page *webtest.Page, list []string) {
	can, err := page.Encodes(r.ctx)
	r.must(err)
	for _, codec := range list {
		if !slices.Contains(can, codec) {
			t.Errorf("the browser encodes %v, not %s", can, codec)
			continue
		}
		from := r.on(page, "from "+codec, webtest.CallConfig{Camera: "320x180", Codec: codec})
		to := r.on(page, "to "+codec, webtest.CallConfig{Watches: true})
		r.step("connect", o{"from": from.name, "to": to.name}, nil)
		to.sees(320, 180)
		var told string
		if !eventually(videoPatience, func() bool {
			in, name := to.shows("inbound-rtp")
			told = fmt.Sprintf("%s, %v", name, in)
			return name == "video/"+codec && member(in, "framesDecoded") >= 10 && member(in, "keyFramesDecoded") >= 1 && member(in, "frameWidth") == 320 &&
				member(in, "framesReceived")-member(in, "framesDecoded") <= 5
		}) {
			t.Errorf("%s: the page decodes %s", codec, told)
		}
		for _, tracks := range [][]o{from.tracks(true), to.tracks(false)} {
			if len(tracks) != 1 || member(tracks[0], "frameWidth") != 320 || member(tracks[0], "frameHeight") != 180 {
				t.Errorf("%s: getStats tells of the pictures %v, expected 320x180", codec, tracks)
			}
		}
		from.ends()
		to.ends()
	}
}

// layerRates are the rates, in kbit/s, of the sizes that come to an endpoint, by width.
func (v *viewer) layerRates() map[float64]float64 {
	v.t.Helper()
	read := func() (bytes map[float64]float64, at time.Time) {
		bytes, at = map[float64]float64{}, time.Now()
		tracks := map[any]float64{}
		for _, s := range v.tracks(true) {
			tracks[s["id"]] = member(s, "frameWidth")
		}
		for _, s := range v.counts("inboundrtp") {
			if w := tracks[s["mediaTrackId"]]; w > 0 {
				bytes[w] = member(s, "bytesReceived")
			}
		}
		return bytes, at
	}
	before, from := read()
	time.Sleep(1500 * time.Millisecond)
	after, to := read()
	rates := map[float64]float64{}
	for w, n := range after {
		if n > before[w] && before[w] > 0 {
			rates[w] = (n - before[w]) * 8 / 1000 / to.Sub(from).Seconds()
		}
	}
	return rates
}

// simulcast: of three sizes that Chromium sends each of two pages sees the one that its endpoint's bound lets through, and another soon after
// the bound is another.
func (r *tutorials) simulcast(t *testing.T, page *webtest.Page) {
	from := r.on(page, "layers", webtest.CallConfig{Camera: "1024x576", Drawn: true, Layers: []webtest.Layer{
		{Name: "l", Scale: 4, Rate: 60_000}, {Name: "m", Scale: 2, Rate: 240_000}, {Name: "h", Scale: 1, Rate: 900_000}}})
	wide, narrow := r.on(page, "wide", webtest.CallConfig{Watches: true}), r.on(page, "narrow", webtest.CallConfig{Watches: true})
	wide.set("setMaxVideoSendBandwidth", 0)
	r.step("connect", o{"from": from.name, "to": wide.name}, nil)
	var rates map[float64]float64
	if !eventually(videoPatience, func() bool {
		rates = from.layerRates()
		return len(rates) == 3 && rates[512] > 1.5*rates[256] && rates[1024] > 1.5*rates[512]
	}) {
		t.Errorf("layers of %v kbit/s come, expected three", rates)
		return
	}
	t.Logf("layers of %.0f kbit/s", rates)
	between := func(a, b float64) int { return int(math.Sqrt(rates[a] * rates[b])) }
	narrow.set("setMaxVideoSendBandwidth", between(256, 512))
	r.step("connect", o{"from": from.name, "to": narrow.name}, nil)
	narrow.sees(256, 144)
	wide.sees(1024, 576)
	r.must(from.page.WatchKeys(r.ctx))
	narrow.set("setMaxVideoSendBandwidth", between(512, 1024))
	narrow.sees(512, 288)
	narrow.set("setMaxVideoSendBandwidth", between(256, 512))
	narrow.sees(256, 144)
	sizes, err := narrow.page.Sizes(r.ctx)
	r.must(err)
	keys, err := from.page.Keys(r.ctx)
	r.must(err)
	after := changes(sizes, keys)
	t.Logf("another layer is seen %.0f ms after its key picture was sent", after)
	if len(after) < 2 {
		t.Errorf("sizes %v after key pictures %v", sizes, keys)
	}
	for _, ms := range after {
		if ms > layerLate {
			t.Errorf("a layer is seen %.0f ms after its key picture was sent, expected %g at most", ms, float64(layerLate))
		}
	}
	for _, v := range []*viewer{wide, narrow, from} {
		v.ends()
	}
}

// changes tells how long after its latest key picture a size was first seen, in ms, for each that keys know.
func changes(sizes, keys []webtest.Sized) (late []float64) {
	for _, s := range sizes {
		best := math.Inf(1)
		for _, k := range keys {
			if k.Width == s.Width && s.At >= k.At-200 {
				best = min(best, max(s.At-k.At, 0))
			}
		}
		if !math.IsInf(best, 1) {
			late = append(late, best)
		}
	}
	return late
}

// again negotiates once more, by an offer of the page's.
func (v *viewer) again(restart bool) {
	v.t.Helper()
	offer, err := v.page.Offer(v.ctx, restart)
	v.must(err)
	v.step("renegotiate", o{"name": v.name}, nil)
	var answer string
	v.step("negotiate", o{"name": v.name, "offer": offer}, &answer)
	v.must(v.page.Accept(v.ctx, answer))
}

// later: a page that only spoke gets a camera, by a restart of ICE; its picture stops, and goes on.
func (r *tutorials) later(t *testing.T, page *webtest.Page) {
	from, to := r.on(page, "later", webtest.CallConfig{}), r.on(page, "looker", webtest.CallConfig{Watches: true})
	r.step("connect", o{"from": from.name, "to": to.name}, nil)
	r.must(from.page.Camera(r.ctx, "320x180"))
	from.again(true)
	to.sees(320, 180)
	r.must(from.page.Turn(r.ctx, "video", "inactive"))
	from.again(false)
	var was, is webtest.Picture
	look := func() {
		now, err := to.page.Sees(r.ctx)
		r.must(err)
		was, is = is, now
	}
	if !eventually(videoPatience, func() bool {
		look()
		time.Sleep(700 * time.Millisecond)
		return was.Frames > 0 && was.Frames == is.Frames
	}) {
		t.Errorf("the picture goes on after it was stopped: %+v, %+v", was, is)
	}
	r.must(from.page.Turn(r.ctx, "video", "sendrecv"))
	from.again(false)
	if stopped := is.Frames; !eventually(videoPatience, func() bool { look(); return is.Frames > stopped+10 }) {
		t.Errorf("the picture doesn't go on: %+v", is)
	}
	to.hears()
	from.ends()
	to.ends()
}
