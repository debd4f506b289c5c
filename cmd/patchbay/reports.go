package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/rpc"
)

const (
	reportsPath = "/api/v1/reports"
	reportTime  = 5 * time.Minute // for one report
	reportWrite = 30 * time.Second

	truncatedHeader = "Patchbay-Truncated" // there are more rows than the limit: CSV, NDJSON and tables can't say it where programs look for it
)

// reports answers questions about many calls, one at a time, over a reader of its own: a long one keeps nobody from reading records.
type reports struct {
	log  *slog.Logger
	past *past
	ctx  context.Context // until Close
	stop context.CancelFunc

	mu      sync.Mutex
	waiting map[string]int // questions about one tenant's calls, by tenant: of those who may ask for no other's all of them
}

// reportQueue is how many questions of one tenant wait for their answers, so that others' may still.
const reportQueue = 8

func newReports(cfg billing.Config, log *slog.Logger) *reports {
	r := &reports{log: log, past: newPast(cfg), waiting: map[string]int{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Close ends the report that is being made, and the reading.
func (r *reports) Close() {
	r.stop()
	r.past.Close()
}

// make answers a query. The error is errBusy, a *report.Error of who asked, or ours.
func (r *reports) make(ctx context.Context, q report.Query, progress report.Progress) (out *report.Report, err error) {
	if q.Tenant != nil {
		if !r.enter(*q.Tenant) {
			return nil, errBusy
		}
		defer r.leave(*q.Tenant)
	}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	err = r.past.wait(ctx, func() error {
		return r.past.use(ctx, func(reader *billing.Reader) error {
			out, err = reader.Report(ctx, q, progress)
			if bad := (*report.Error)(nil); errors.As(err, &bad) {
				return nil // the connection is as good as before
			}
			return err
		})
	})
	if err == nil && out == nil {
		err = errors.New("no report")
	}
	return out, err
}

// enter takes a place in the queue for a tenant's question; false: all that it may have are taken.
func (r *reports) enter(tenant string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[tenant] >= reportQueue {
		return false
	}
	r.waiting[tenant]++
	return true
}

func (r *reports) leave(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[tenant]--; r.waiting[tenant] == 0 {
		delete(r.waiting, tenant)
	}
}

// mount adds the handlers to a mux.
func (r *reports) mount(mux *http.ServeMux) {
	mux.HandleFunc(reportsPath, r.list)
	mux.HandleFunc(reportsPath+"/{name}", r.one)
}

// forReports tells whether a path is of reports: a token with the role billing sees those of its own tenant there.
func forReports(path string) bool {
	return path == reportsPath || strings.HasPrefix(path, reportsPath+"/")
}

// reportList is what can be asked for.
type reportList struct {
	Reports    []report.Summary `json:"reports"`
	Dimensions []string         `json:"dimensions"`
	Formats    []string         `json:"formats"`
}

func (r *reports) list(w http.ResponseWriter, q *http.Request) {
	if getOnly(w, q) {
		reply(w, http.StatusOK, reportList{report.Reports(), report.Dimensions(), report.Formats()})
	}
}

// getOnly answers what isn't GET, and tells whether it is.
func getOnly(w http.ResponseWriter, q *http.Request) bool {
	if q.Method == http.MethodGet || q.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	problem(w, http.StatusMethodNotAllowed, "expected GET")
	return false
}

// parameters are those of a report, once each, with those that say how to answer.
func parameters(q *http.Request) (map[string]string, error) {
	known := map[string]bool{"format": true, "progress": true, "access_token": true}
	for _, p := range report.Params() {
		known[p.Name] = true
	}
	out := map[string]string{}
	for name, values := range q.URL.Query() {
		switch {
		case !known[name]:
			return nil, fmt.Errorf("%s: there is no such parameter", clean(name))
		case len(values) > 1:
			return nil, fmt.Errorf("%s is given twice", name)
		}
		out[name] = values[0]
	}
	switch out["progress"] {
	case "", "false", "true":
	default:
		return nil, fmt.Errorf("progress %q: expected true or false", clean(out["progress"]))
	}
	return out, nil
}

func (r *reports) one(w http.ResponseWriter, req *http.Request) {
	if !getOnly(w, req) {
		return
	}
	name := req.PathValue("name")
	if !has(report.Names(), name) {
		problem(w, http.StatusNotFound, fmt.Sprintf("report %q: expected %s", clean(name), strings.Join(report.Names(), ", ")))
		return
	}
	params, err := parameters(req)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	format := params["format"]
	if format == "" {
		format = report.JSON
	}
	if !has(report.Formats(), format) {
		problem(w, http.StatusBadRequest, fmt.Sprintf("format %q: expected %s", clean(format), strings.Join(report.Formats(), ", ")))
		return
	}
	who, err := principal(req)
	if err != nil {
		problem(w, http.StatusForbidden, err.Error())
		return
	}
	if !who.Roles.Grant(rpc.Admin) {
		if t, ok := params["tenant"]; ok && t != who.Tenant {
			problem(w, http.StatusForbidden, "reports of other tenants need a token with the role admin, this one has: "+who.Roles.String())
			return
		}
		params["tenant"] = who.Tenant
	}
	q, err := report.Parse(name, func(p string) (string, bool) { s, ok := params[p]; return s, ok }, time.Now())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	r.answer(w, req, q, format, params["progress"] == "true" && (format == report.NDJSON || format == report.JSON))
}

// answer makes the report and writes it. With progress lines tell how far it has come, until the rows follow, or, as JSON, the report in one
// line; a line with error ends it otherwise. What goes wrong before the first line is told by the status, as without progress.
func (r *reports) answer(w http.ResponseWriter, req *http.Request, q report.Query, format string, progress bool) {
	patience := http.NewResponseController(w)
	_ = patience.SetReadDeadline(time.Time{}) // the question has been read; the server's own would end it
	var tell report.Progress
	told := false
	if progress {
		tell = func(done, of int) {
			if !told {
				w.Header().Set("Content-Type", report.ContentType(report.NDJSON))
				told = true
			}
			_ = patience.SetWriteDeadline(time.Now().Add(reportWrite)) // without it the server's own holds
			_ = json.NewEncoder(w).Encode(map[string]any{"progress": map[string]int{"done": done, "of": of}})
			_ = patience.Flush()
		}
	}
	out, err := r.make(req.Context(), q, tell)
	_ = patience.SetWriteDeadline(time.Now().Add(reportWrite))
	if err != nil {
		status, why := http.StatusServiceUnavailable, "reports can't be made now"
		switch bad := (*report.Error)(nil); {
		case errors.As(err, &bad):
			status, why = http.StatusBadRequest, bad.Error()
		case errors.Is(err, errBusy):
			why = "too many ask for reports at once"
			w.Header().Set("Retry-After", "5")
		case req.Context().Err() != nil:
			return
		default:
			r.log.Warn("a report can't be made", "report", q.Name, "err", err)
		}
		if told {
			_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
			return
		}
		problem(w, status, why)
		return
	}
	if !told {
		w.Header().Set("Content-Type", report.ContentType(format))
	}
	if !told && out.Truncated {
		w.Header().Set(truncatedHeader, "true")
	}
	if format == report.CSV {
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.csv"`, q.Name, q.From.Format(time.DateOnly)))
	}
	_ = out.Write(w, format) // the client is gone: nobody is left to tell
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
