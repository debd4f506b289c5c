//go:build e2e

package web_test

import (
	"fmt"
	"time"
)

// shown waits until the page shows its reports, and none is being made.
func (d *desk) shown(view, state string) {
	d.t.Helper()
	d.wait(fmt.Sprintf(`(p => p.dataset.view === %q && p.dataset.state === %q && !p.querySelector('[data-loading=true]'))(document.getElementById('page'))`, view, state))
}

// asked is the newest question about a report.
func (d *desk) asked(name string) (q question) {
	d.stub.set(func(s *stub) {
		for _, x := range s.reports.asked {
			if x.name == name && x.params.Get("format") != "csv" {
				q = x
			}
		}
	})
	return q
}

// pick chooses an option by its value.
func (d *desk) pick(selector, value string) {
	d.t.Helper()
	d.must(d.page.Eval(d.ctx, fmt.Sprintf("(e => { e.value = %q; e.dispatchEvent(new Event('change', {bubbles: true})); })(document.querySelector(%q))", value, selector), nil))
}

// drawn tells whether each plot has drawn something: uPlot's canvas isn't blank.
func (d *desk) drawn() (plots int) {
	d.t.Helper()
	d.must(d.page.Eval(d.ctx, `[...document.querySelectorAll('.plot canvas')].filter(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(x => x !== 0)).length`, &plots))
	return plots
}

// whole takes a picture of the page from top to bottom.
func (d *desk) whole(name string, width, least int, dark bool) {
	d.t.Helper()
	d.must(d.page.Screen(d.ctx, width, least, dark))
	var size struct{ Height, Over int }
	d.must(d.page.Eval(d.ctx, `new Promise(done => setTimeout(done, 100)).then(() => ({height: document.documentElement.scrollHeight,
		over: document.documentElement.scrollWidth - document.documentElement.clientWidth}))`, &size))
	if size.Over > 0 {
		d.t.Errorf("%s is %d px too wide at %d", name, size.Over, width)
	}
	d.must(d.page.Screen(d.ctx, width, min(size.Height, 4000), dark))
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	d.shot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
}

// Every view plots what the reports tell, in the time and zone that are chosen.
func reportsStory(d *desk) {
	d.must(d.page.Navigate(d.ctx, d.url+"/reports/traffic?range=days&from=2026-03-01&last=2026-03-31&zone=Europe/Berlin"))
	for i, v := range []struct {
		name  string
		plots int
		state string
	}{{"traffic", 4, "ready"}, {"money", 2, "ready"}, {"quality", 4, "ready"}, {"concurrency", 2, "ready"}, {"destinations", 0, "ready"}} {
		if i > 0 {
			d.click("[data-testid=view-" + v.name + "]")
		}
		d.shown(v.name, v.state)
		if n := d.drawn(); n != v.plots {
			d.t.Errorf("%s: %d plots are drawn, expected %d", v.name, n, v.plots)
		}
		if i < 3 {
			d.whole("reports-"+v.name, 1280, 800, i%2 == 1)
		}
		d.whole("reports-"+v.name, 390, 844, i%2 == 0)
		d.must(d.page.Screen(d.ctx, 1280, 800, false))
	}
	if q := d.asked("traffic"); q.params.Get("from") != "2026-03-01" || q.params.Get("to") != "2026-04-01" || q.params.Get("zone") != "Europe/Berlin" || q.params.Get("by") != "trunk" {
		d.t.Errorf("asked for %v", q)
	}

	// Back to the first view by the browser's own button, another time, zone and dimension, then the calls of one trunk.
	d.must(d.page.Eval(d.ctx, "history.go(-4)", nil))
	d.shown("traffic", "ready")
	d.pick("#range", "today")
	d.shown("traffic", "ready")
	d.pick("#zone", "Asia/Tokyo")
	d.pick("#split", "codec")
	d.eventually("the other dimension", func() bool {
		q := d.asked("traffic")
		return q.params.Get("by") == "codec" && q.params.Get("zone") == "Asia/Tokyo"
	})
	d.shown("traffic", "ready")
	day, err := time.LoadLocation("Asia/Tokyo")
	d.must(err)
	if q := d.asked("traffic"); q.params.Get("from") != time.Now().In(day).Format(time.DateOnly) {
		d.t.Errorf("today is asked for as %v", q)
	}
	d.pick("#split", "trunk")
	d.click("[data-panel=traffic-trunk] tbody .name")
	d.shown("traffic", "ready")
	if q := d.asked("traffic"); q.params.Get("trunk") != "carrier-60" || q.params.Get("by") != "trunk" {
		d.t.Errorf("only one trunk is asked for as %v", q)
	}
	d.click("[data-panel=traffic-trunk] [data-order=calls]")
	d.eventually("the other order", func() bool { return d.asked("traffic").params.Get("order") == "-calls" })
	d.shown("traffic", "ready")
	d.click(".only button")
	d.shown("traffic", "ready")

	// A long report says how far it has come, until it is there.
	hold := make(chan struct{})
	d.stub.set(func(s *stub) { s.reports.hold = hold })
	d.click("#refresh")
	d.wait(`document.querySelector('.panel progress')?.position.toFixed(2) === '0.67'`)
	d.stub.set(func(s *stub) { s.reports.hold = nil })
	close(hold)
	d.shown("traffic", "ready")
	d.wait(`document.querySelector('progress') === null`)

	// By keyboard: Tab reaches plots and tables, keys walk along a plot.
	var at bool
	for range 40 {
		d.must(d.page.Key(d.ctx, "Tab"))
		if d.must(d.page.Eval(d.ctx, "document.activeElement.matches('.canvas') && getComputedStyle(document.activeElement).outlineStyle !== 'none'", &at)); at {
			break
		}
	}
	if !at {
		d.t.Error("Tab reaches no plot with a visible focus")
	}
	d.must(d.page.Key(d.ctx, "Home"))
	d.wait(`document.activeElement.querySelector('.u-value')?.textContent.endsWith('00:00') && document.activeElement.querySelectorAll('.u-value')[1].textContent !== '–'`)
	d.must(d.page.Key(d.ctx, "ArrowRight"))
	d.wait(`document.activeElement.querySelector('.u-value')?.textContent.endsWith('01:00')`)
	d.clean()
}

// Who may see reports is the gateway's to say: the page asks for a token, tells why it shows nothing, and what is empty.
func reportAccessStory(d *desk) {
	d.stub.set(func(s *stub) { s.reports.token, s.reports.clerk = "b1lling", "cl3rk" })
	d.must(d.page.Navigate(d.ctx, d.url+"/reports/money?range=7d&zone=UTC"))
	d.shown("money", "token")
	d.whole("reports-token", 390, 844, true)
	d.must(d.page.Screen(d.ctx, 1280, 800, false))
	for _, x := range []struct{ token, state, says string }{{"wrong", "wrong", "the token is wrong"}, {"cl3rk", "role", "this one has: calls"}, {"zwei wörter", "wrong", "letters, digits"}} {
		d.fill("#token", x.token)
		d.must(d.page.Key(d.ctx, "Enter"))
		d.shown("money", x.state)
		d.wait(fmt.Sprintf("document.getElementById('gate').innerText.includes(%q)", x.says))
	}
	d.whole("reports-role", 1280, 800, false)
	d.fill("#token", "b1lling")
	d.click("#keep")
	d.click("#enter")
	d.shown("money", "ready")
	d.stub.set(func(s *stub) {
		if s.reports.refused != 3 {
			d.t.Errorf("the gateway refused %d questions, expected one without a token, one with a wrong one, one with a clerk's", s.reports.refused)
		}
	})
	d.must(d.page.Navigate(d.ctx, d.url+"/reports/concurrency?range=7d&zone=UTC"))
	d.shown("concurrency", "ready") // the token was kept

	d.stub.set(func(s *stub) { s.reports.empty = true })
	d.click("#refresh")
	d.shown("concurrency", "empty")
	d.click("[data-testid=view-quality]")
	d.shown("quality", "empty")
	d.whole("reports-empty", 1280, 800, true)
	d.stub.leave(true)
	d.click("#refresh")
	d.shown("quality", "away")
	d.whole("reports-away", 1280, 800, false)
	d.stub.leave(false)
	d.stub.set(func(s *stub) { s.reports.empty = false })
	d.click("#again")
	d.shown("quality", "ready")
	d.click("#forget")
	d.shown("quality", "token")
	d.clean("403", "401", "502")
}
