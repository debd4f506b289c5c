package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/doctor"
	"github.com/patchbay/patchbay/sip"
)

// The gateway that runs examines its trunks over REST, from their own sockets, and tells their registration. A trunk that is
// dead holds nobody up, and is examined by one at a time.
func TestExamineOverREST(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[1].Proxy.Port = 9 // nobody is there
		s.Trunks = append(s.Trunks, s.Trunks[0])
		third := &s.Trunks[2]
		third.ID, third.Register, third.Registrar, third.User, third.Expires = "third", true, third.Proxy, "49", time.Hour
		third.Creds = sip.Credentials{Username: "49", Password: "planted-secret"}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx, 0) }()
	defer func() { cancel(); <-done }()
	test := func(trunk, body string, status int) string {
		t.Helper()
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/trunks/"+trunk+"/test", strings.NewReader(body)))
		if w.Code != status || strings.Contains(w.Body.String(), "planted-secret") {
			t.Errorf("%s %s: %d %s, want %d", trunk, body, w.Code, w.Body, status)
		}
		return w.Body.String()
	}
	report := func(trunk, body string) (doctor.Report, map[string]doctor.Check) {
		t.Helper()
		var r doctor.Report
		if err := json.Unmarshal([]byte(test(trunk, body, 200)), &r); err != nil {
			t.Fatal(err)
		}
		by := map[string]doctor.Check{}
		for _, c := range r.Checks {
			by[c.Step] = c
		}
		return r, by
	}
	r, by := report("carrier", `{"timeout": "25s"}`)
	if !r.OK || r.Trunk != "carrier" || r.Via != "the running gateway" || by["options"].Verdict != doctor.OK || by["digest"].Verdict != doctor.OK {
		t.Errorf("%+v", r)
	}
	if own := b.addr.String(); !strings.Contains(by["address"].Text, "sees us as "+own+",") {
		t.Errorf("asked from another socket than %s: %+v", own, by["address"])
	}
	eventually(t, "it registers", func() bool { return b.trunks["third"].reg.Load() != nil })
	if _, by = report("third", `{"timeout": "25s"}`); by["digest"].Verdict != doctor.Fail || by["registration"].Step == "" {
		t.Errorf("a carrier without a registrar: %+v", by)
	}
	beside, enough := context.WithCancel(context.WithoutCancel(ctx))
	defer enough()
	go func() { _, _ = b.Examine(beside, "second", doctor.Exam{Timeout: 25 * time.Second}) }()
	eventually(t, "it is examined", func() bool { return b.trunks["second"].examined.Load() })
	if said := test("second", `{}`, 409); !strings.Contains(said, "examined already") {
		t.Errorf("said %s", said)
	}
	enough()
	eventually(t, "it was examined", func() bool { return !b.trunks["second"].examined.Load() })
	begun := time.Now()
	r, by = report("second", `{"timeout": "2s"}`)
	if r.OK || by["options"].Verdict != doctor.Fail || time.Since(begun) > 15*time.Second {
		t.Errorf("a dead trunk, after %v: %+v", time.Since(begun), r)
	}
	for _, x := range []struct {
		trunk, body string
		status      int
		want        string
	}{
		{"none", `{}`, 404, "no such trunk"}, {"carrier", ``, 400, "expected"}, {"carrier", `{"timeout": "soon"}`, 400, "expected a duration"},
		{"carrier", `{"timeout": "1h"}`, 400, "expected 2s to 25s"}, {"carrier", `{"call": "1\r\n2"}`, 400, "expected a number"}, {"carrier", `{"sip": 1}`, 400, "unknown field"},
	} {
		if said := test(x.trunk, x.body, x.status); !strings.Contains(said, x.want) {
			t.Errorf("%s %s: %s, want %q", x.trunk, x.body, said, x.want)
		}
	}
}

// A test call is taken back as soon as it rings, and leaves no record: nobody of ours has called.
func TestExamineByCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	result := make(chan doctor.Report, 1)
	go func() {
		r, _ := b.Examine(t.Context(), "carrier", doctor.Exam{Call: "4930555"})
		result <- r
	}()
	c := b.carrier.Incoming()
	r := c.Request()
	if r.URI.User != "4930555" || !strings.Contains(string(r.Body), "a=inactive\r\n") || !strings.Contains(string(r.Body), "m=audio 9 RTP/AVP 0 8 101\r\n") {
		t.Errorf("INVITE %s with\n%s", r.URI, r.Body)
	}
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" || e.Reason.Text != "test of the trunk" {
		t.Errorf("ended %+v", e)
	}
	rep := <-result
	if i := slices.IndexFunc(rep.Checks, func(c doctor.Check) bool { return c.Step == "call" }); i < 0 || rep.Checks[i].Verdict != doctor.OK || !strings.Contains(rep.Checks[i].Text, "180 Ringing; taken back") {
		t.Errorf("%+v", rep.Checks)
	}
	if n := len(b.ledger.records(t)); n != 0 {
		t.Errorf("%d records", n)
	}
}
