//go:build e2e

package e2e

import (
	"testing"

	"github.com/patchbay/patchbay/web/webtest"
)

// groupCall: of three pages each sends its picture by one endpoint and sees each other's by one more, as in the tutorial. One leaves, and
// the others go on.
func (r *tutorials) groupCall(t *testing.T, first *viewer) {
	type member struct {
		sends         *viewer
		page          *webtest.Page
		width, height int
	}
	open := func() *webtest.Page {
		page, err := r.browser.Open(r.ctx, r.site)
		r.must(err)
		return page
	}
	group := []member{{sends: first, page: open(), width: 320, height: 180}}
	for name, size := range map[string][2]int{"160x120": {160, 120}, "240x180": {240, 180}} {
		page := open()
		group = append(group, member{r.joins(page, name, webtest.CallConfig{Camera: name}, false), page, size[0], size[1]})
	}
	sees := map[*viewer]member{}
	for i, who := range group {
		for j, whom := range group {
			if i == j {
				continue
			}
			v := r.joins(who.page, who.sends.name+" sees "+whom.sends.name, webtest.CallConfig{Name: whom.sends.name, Watches: true}, false)
			r.step("connect", o{"from": whom.sends.name, "to": v.name}, nil)
			sees[v] = whom
		}
	}
	for v, whom := range sees {
		v.sees(whom.width, whom.height)
	}
	leaves := group[2].sends
	r.step("release", o{"name": leaves.name}, nil)
	for v, whom := range sees {
		if whom.sends == leaves {
			continue
		}
		before, err := v.page.Sees(r.ctx)
		r.must(err)
		if !eventually(videoPatience, func() bool {
			p, err := v.page.Sees(r.ctx)
			r.must(err)
			return p.Frames >= before.Frames+5
		}) {
			t.Errorf("%s is shown nothing since %s has left", v.name, leaves.name)
		}
	}
	for v := range sees {
		r.step("release", o{"name": v.name}, nil)
	}
	for _, m := range group[1:2] {
		r.step("release", o{"name": m.sends.name}, nil)
	}
}
