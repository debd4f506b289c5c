//go:build e2e && media

package e2e

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/web/webtest"
)

// sends is the rate of pictures that a page sends, in kbit/s, over a second.
func (v *viewer) sends() float64 {
	v.t.Helper()
	before, _ := v.shows("outbound-rtp")
	time.Sleep(time.Second)
	after, _ := v.shows("outbound-rtp")
	took := member(after, "timestamp") - member(before, "timestamp") // ms
	if took <= 0 {
		return 0
	}
	return (member(after, "bytesSent") - member(before, "bytesSent")) * 8 / took
}

// within waits for a rate in kbit/s, and tells how long that took.
func (r *tutorials) within(t *testing.T, what string, rate func() float64, least, most float64) {
	t.Helper()
	began, last := time.Now(), 0.0
	if !eventually(videoPatience, func() bool { last = rate(); return last >= least && last <= most }) {
		t.Errorf("%s: %.0f kbit/s, expected %.0f to %.0f", what, last, least, most)
		return
	}
	t.Logf("%s: %.0f kbit/s after %.1f s", what, last, time.Since(began).Seconds())
}

// Rates of pictures follow paths and settings, with Chromium at both ends.
func TestMediaRates(t *testing.T) {
	r := newTutorials(t)
	page := r.stand()
	t.Run("bandwidth", func(t *testing.T) { r.bandwidth(t, page) })
	t.Run("squeezed", func(t *testing.T) { r.squeezed(t, page) })
}

// rateBack is what a page sends at least that nothing bounds any more, in kbit/s: Chromium doesn't soon draw larger what it has drawn smaller, and of
// pictures no larger than 320x240 it sends 600.
const rateBack = 500

// bandwidth: what a page sends follows what the way to its viewer takes, and what is set.
func (r *tutorials) bandwidth(t *testing.T, page *webtest.Page) {
	from := r.on(page, "source", webtest.CallConfig{Camera: "640x360", Drawn: true})
	to := r.joins(page, "squeezed", webtest.CallConfig{Name: "squeezed", Watches: true}, true)
	to.set("setMaxVideoSendBandwidth", 2000)
	r.step("connect", o{"from": from.name, "to": to.name}, nil)
	to.sees(640, 360)
	r.within(t, "a wide way", from.sends, 700, 2100)
	r.lossy.Limit(300_000)
	r.within(t, "a way of 300 kbit/s", from.sends, 30, 300)
	r.lossy.Limit(0)
	r.within(t, "a wide way again", from.sends, rateBack, 2100)
	for _, c := range []struct {
		who         *viewer
		method      string
		value       int
		least, most float64
	}{
		{to, "setMaxVideoSendBandwidth", 200, 30, 220},
		{from, "setMinVideoRecvBandwidth", 400, 250, 440},
		{from, "setMinVideoRecvBandwidth", 0, 30, 220},
		{to, "setMaxVideoSendBandwidth", 2000, rateBack, 2100},
		{from, "setMaxVideoRecvBandwidth", 250, 30, 270},
		{from, "setMaxVideoRecvBandwidth", 0, rateBack, 2100},
		{to, "setMinVideoSendBandwidth", 500, rateBack, 2100},
	} {
		c.who.set(c.method, c.value)
		r.within(t, c.method, from.sends, c.least, c.most)
	}
	r.lossy.Limit(200_000)
	time.Sleep(5 * time.Second) // what the path takes is known by then
	r.within(t, "a way of 200 kbit/s, through which 500 are sent", from.sends, 350, 560)
	r.lossy.Limit(0)
	from.ends()
	to.ends()
}

// squeezed: of a simulcast the layer follows what the way takes, and what is sent doesn't.
func (r *tutorials) squeezed(t *testing.T, page *webtest.Page) {
	from := r.on(page, "three", webtest.CallConfig{Camera: "1024x576", Drawn: true, Layers: []webtest.Layer{
		{Name: "l", Scale: 4, Rate: 60_000}, {Name: "m", Scale: 2, Rate: 240_000}, {Name: "h", Scale: 1, Rate: 900_000}}})
	to := r.joins(page, "thin", webtest.CallConfig{Name: "thin", Watches: true}, true)
	to.set("setMaxVideoSendBandwidth", 0)
	r.step("connect", o{"from": from.name, "to": to.name}, nil)
	to.sees(1024, 576)
	r.lossy.Limit(200_000)
	to.sees(256, 144)
	r.lossy.Limit(0)
	to.sees(1024, 576)
	from.ends()
	to.ends()
}
