//go:build e2e

package web_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// reportStub is who may see reports at the stub, and what it was asked for.
type reportStub struct {
	token, clerk string // that may, that may not; "" = nobody is asked for one
	empty        bool
	hold         chan struct{} // reports stop behind their second step of three until it is closed; nil: they don't
	refused      int
	asked        []question
}

type question struct {
	name   string
	params url.Values
}

type reportColumn struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Title string `json:"title"`
	About string `json:"about"`
}

// reportColumns are those of the gateway's reports, as NAME:KIND.
var reportColumns = map[string]string{
	"traffic":      "calls:count seizures:count answered:count effective:count asr:percent ner:percent acd:seconds minutes:minutes pdd_p50:ms pdd_p95:ms",
	"money":        "calls:count answered:count minutes:minutes currency:text sell:money buy:money margin:money margin_percent:percent unpriced:count losses:count",
	"quality":      "calls:count answered:count measured:count mos:score loss_percent:percent jitter:ms one_way:count fas:count",
	"destinations": "calls:count seizures:count answered:count asr:percent ner:percent acd:seconds minutes:minutes currency:text sell:money buy:money margin:money",
	"worst": "call:text began:time leg:count stream:text party:text number:text codec:text mos:score loss_percent:percent jitter:ms rtt:ms " +
		"xr_mos:score xr_discard:percent skew:number one_way:flag no_media:flag",
	"concurrency": "at:time peak:count mean:number began:count peak_rate:count",
}

// reportTitles are those that aren't the name.
var reportTitles = map[string]string{"asr": "ASR %", "ner": "NER %", "acd": "ACD s", "pdd_p50": "PDD p50 ms", "pdd_p95": "PDD p95 ms", "sell": "Sold", "buy": "Bought",
	"margin_percent": "Margin %", "mos": "MOS", "loss_percent": "Loss %", "jitter": "Jitter ms", "fas": "FAS", "rtt": "Round trip",
	"xr_mos": "MOS of the party", "xr_discard": "Discarded %", "skew": "Clock ppm"}

// report answers in the form of the gateway's reports, with figures that come from the row's number.
func (s *stub) report(w http.ResponseWriter, r *http.Request) {
	if !s.api(w) {
		return
	}
	q, name := r.URL.Query(), r.PathValue("name")
	refuse := func(status int, why string) {
		s.reports.refused++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch shown := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); {
	case s.reports.token == "" || shown == s.reports.token:
	case shown == "":
		refuse(http.StatusForbidden, "without a token of the settings (tokens) this interface answers only programs on its own host")
		return
	case shown == s.reports.clerk:
		refuse(http.StatusForbidden, "this shows and changes calls of all tenants: it needs a token with the role admin, this one has: calls")
		return
	default:
		refuse(http.StatusUnauthorized, "the token is wrong")
		return
	}
	s.reports.asked = append(s.reports.asked, question{name, q})
	zone, err := time.LoadLocation(q.Get("zone"))
	from, err2 := time.ParseInLocation(time.DateOnly, q.Get("from"), zone)
	to, err3 := time.ParseInLocation(time.DateOnly, q.Get("to"), zone)
	if err != nil || err2 != nil || err3 != nil || reportColumns[name] == "" {
		refuse(http.StatusBadRequest, fmt.Sprintf("%s?%s: expected a report with zone, from and to", name, r.URL.RawQuery))
		return
	}
	if q.Get("format") == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		fmt.Fprint(w, "day,calls\n2026-03-01,7\n")
		return
	}
	a := map[string]any{"report": name, "from": from, "to": to, "zone": zone.String(), "by": []string{}, "source": "rollups", "truncated": false, "total": nil}
	columns := strings.Fields(reportColumns[name])
	if by := q.Get("by"); by != "" {
		kind := "text"
		if by == "hour" || by == "day" || by == "month" {
			kind = "time"
		}
		a["by"], columns = []string{by}, append([]string{by + ":" + kind}, columns...)
	}
	var head []reportColumn
	for _, c := range columns {
		c, kind, _ := strings.Cut(c, ":")
		title := reportTitles[c]
		if title == "" {
			title = strings.ToUpper(c[:1]) + strings.ReplaceAll(c[1:], "_", " ")
		}
		head = append(head, reportColumn{c, kind, title, "About " + c + "."})
	}
	a["columns"] = head
	rows := []map[string]any{}
	if !s.reports.empty || name == "concurrency" {
		rows = reportRows(head, from, to, s.reports.empty)
	}
	if order := q.Get("order"); order != "" {
		slices.Reverse(rows)
	}
	a["rows"] = rows
	if len(a["by"].([]string)) > 0 {
		total := reportRow(head, 400, from)
		total[q.Get("by")] = nil
		a["total"] = total
	}
	if q.Get("progress") != "true" {
		refuse(http.StatusBadRequest, "the page is expected to ask how far a report has come")
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	for done := range 3 {
		fmt.Fprintf(w, `{"progress":{"done":%d,"of":3}}`+"\n", done+1)
		if hold := s.reports.hold; hold != nil && done == 1 {
			_ = http.NewResponseController(w).Flush()
			s.mu.Unlock()
			select {
			case <-hold:
			case <-r.Context().Done():
			}
			s.mu.Lock()
		}
	}
	_ = json.NewEncoder(w).Encode(a)
}

// reportRows are rows for each step of time but a few, or for names.
func reportRows(head []reportColumn, from, to time.Time, still bool) []map[string]any {
	rows := []map[string]any{}
	next := map[string]func(time.Time) time.Time{
		"at": func(t time.Time) time.Time { return t.Add(time.Hour) }, "hour": func(t time.Time) time.Time { return t.Add(time.Hour) },
		"day": func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }, "month": func(t time.Time) time.Time { return t.AddDate(0, 1, 0) },
	}[head[0].Name]
	if next == nil {
		for i := range 9 {
			rows = append(rows, reportRow(head, 60-6*i, from))
		}
		return rows
	}
	for i := 0; from.Before(to); from, i = next(from), i+1 {
		if head[0].Name != "at" && i%11 == 4 {
			continue // no call began then
		}
		n := 40 + 12*(i%7) + i%5
		if head[0].Name == "at" {
			n = 45 - int(30*math.Cos(float64(i)*math.Pi/12))
		}
		if still {
			n = 0
		}
		rows = append(rows, reportRow(head, n, from))
	}
	return rows
}

// reportRow is a row of figures that look like calls': answered ones are fewer, NER is above ASR, p95 above p50.
func reportRow(head []reportColumn, n int, at time.Time) map[string]any {
	row := map[string]any{}
	more := map[string]int{"ner": 25, "pdd_p95": 900, "buy": 8 - n/3, "margin": -8 - n*2/3, "answered": -n * 45 / 100, "effective": -n / 5, "measured": -n / 2,
		"one_way": -n * 93 / 100, "fas": -n * 97 / 100, "unpriced": -n, "losses": -n * 98 / 100}
	for _, c := range head {
		switch m := n + more[c.Name]; c.Kind {
		case "time":
			row[c.Name] = at
		case "text":
			row[c.Name] = map[string]string{"trunk": fmt.Sprintf("carrier-%d", n), "party": fmt.Sprintf("trunk:carrier-%d", n), "call": fmt.Sprintf("019345ab-7c00-7%03d-8000-0242ac120002", n),
				"number": fmt.Sprintf("+49301234%d", n), "codec": "PCMA/8000", "stream": "in", "currency": "EUR"}[c.Name]
			if row[c.Name] == "" {
				row[c.Name] = fmt.Sprintf("%s %d", c.Name, n)
			}
		case "money":
			row[c.Name] = fmt.Sprintf("%d.%06d", m*3, n*7919%1_000_000)
		case "percent":
			row[c.Name] = json.Number(fmt.Sprintf("%d.%02d", 52+n%9+more[c.Name], n%100))
			if c.Name == "loss_percent" {
				row[c.Name] = json.Number(fmt.Sprintf("0.%02d", n%100))
			}
		case "score":
			row[c.Name] = json.Number(fmt.Sprintf("4.%02d", 40-n%35))
		case "flag":
			row[c.Name] = n%4 == 0
		case "ms":
			row[c.Name] = m*3%90 + 20 + more[c.Name]
		case "seconds":
			row[c.Name] = float64(n) + 71.5
		case "minutes", "number":
			row[c.Name] = float64(n) * 0.75
		default:
			row[c.Name] = m
		}
	}
	return row
}
