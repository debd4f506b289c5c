//go:build e2e

package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/web/webtest"
)

// reportsOnPage: the page of reports shows the same sums, to the last digit, and opens the others.
func (g *gateway) reportsOnPage(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	defer func() { t.Logf("the page took %v", time.Since(began).Round(time.Millisecond)) }()
	b, err := webtest.Start(ctx, webtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	page, err := b.Open(ctx, "http://"+g.addr.String()+":8888/reports/money?range=7d&zone=Europe/Berlin&by=direction")
	if err != nil {
		t.Fatal(err)
	}
	shown := func(view string) {
		t.Helper()
		if err := page.Wait(ctx, `(p => p.dataset.view === '`+view+`' && p.dataset.state === 'ready' && !p.querySelector('[data-loading=true]'))(document.getElementById('page'))`); err != nil {
			text, _ := page.Text(context.WithoutCancel(ctx), "#page")
			t.Fatalf("%v; the page shows %s", err, text)
		}
	}
	shown("money")
	var head, total []string
	for selector, out := range map[string]*[]string{"thead th": &head, "tfoot th, tfoot td": &total} {
		if err := page.Eval(ctx, `[...document.querySelector('[data-panel=money-direction]').querySelectorAll('`+selector+`')].map(c => c.innerText.trim())`, out); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, title := range []string{"Calls", "Answered", "Currency", "Sold", "Bought"} {
		if at := slices.Index(head, title); at >= 0 && at < len(total) {
			got = append(got, strings.ReplaceAll(total[at], ",", ""))
		}
	}
	if strings.Join(got, " ") != want {
		t.Errorf("the page of reports shows %v as %v, expected %s", head, total, want)
	}
	for _, view := range []string{"concurrency", "quality"} {
		if err := page.Click(ctx, "[data-testid=view-"+view+"]"); err != nil {
			t.Fatal(err)
		}
		shown(view)
	}
	if e := page.Errors(); len(e) > 0 {
		t.Errorf("the page reported: %v", e)
	}
}
