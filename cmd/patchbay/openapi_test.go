package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// The document has the addresses that the handlers have, and no others.
func TestOpenAPIHasEveryAddress(t *testing.T) {
	source, err := os.ReadFile("../../gateway/rest.go")
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for _, m := range regexp.MustCompile(`mux\.HandleFunc\("([A-Z]+) (/[^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		served = append(served, strings.ToLower(m[1])+" /api/v1"+m[2])
	}
	if len(served) < 8 {
		t.Fatalf("found %d addresses in gateway/rest.go, it has more", len(served))
	}
	mux := http.NewServeMux()
	for _, p := range (&me{}).mount(mux) {
		if method, path, ok := strings.Cut(p, " "); ok {
			served = append(served, strings.ToLower(method)+" "+path)
		}
	}
	served = append(served, "get "+reportsPath, "get "+reportsPath+"/{name}", "get "+openAPIPath)
	// Whatever else the program serves below /api is to be named here, and in the document.
	for _, file := range goFiles(t) {
		for _, m := range regexp.MustCompile(`mux\.Handle(?:Func)?\("(?:[A-Z]+ )?(/api/[^"]*)"`).FindAllStringSubmatch(file, -1) {
			if m[1] != "/api/v1/" {
				served = append(served, "? "+m[1])
			}
		}
	}
	var told []string
	for _, e := range endpoints() {
		told = append(told, e.method+" /api/v1"+e.path)
	}
	slices.Sort(served)
	slices.Sort(told)
	if strings.Join(served, "\n") != strings.Join(told, "\n") {
		t.Errorf("served:\n%s\nin the document:\n%s", strings.Join(served, "\n"), strings.Join(told, "\n"))
	}
}

func goFiles(t *testing.T) (out []string) {
	t.Helper()
	list, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// A time that may be missing is null in answers: a call that goes on has no end.
func TestOpenAPIOfWhatMayBeMissing(t *testing.T) {
	b, err := json.Marshal(schemaOf(reflect.TypeFor[pastCall]()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"endedAt":{"format":"date-time","type":["string","null"]}`, `"startedAt":{"format":"date-time","type":"string"}`, `"durationMs":{"type":["integer","null"]}`, `"id":{"type":"string"}`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s, expected %s", b, want)
		}
	}
}

// documented asks a server, and holds its answers, and good questions too, against its own document.
type documented struct {
	t      *testing.T
	s      *running
	router routers.Router
	met    map[string]bool // "get /calls 200"
}

func newDocumented(t *testing.T, s *running) *documented {
	t.Helper()
	code, body, _ := s.get(t, openAPIPath, "")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("OpenAPI %s: %v", doc.OpenAPI, err)
	}
	d := &documented{t: t, s: s, met: map[string]bool{}}
	if d.router, err = gorillamux.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	return d
}

// ask expects a status. A question that is answered with success is one that the document has.
func (d *documented) ask(method, path, token, body string, want int) string {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.s.plain+"/api/v1"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if res.StatusCode != want {
		d.t.Errorf("%s %s: %d %s, expected %d", method, path, res.StatusCode, got, want)
	}
	req.Body = io.NopCloser(bytes.NewReader([]byte(body)))
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		d.t.Errorf("%s %s isn't in the document: %v", method, path, err)
		return string(got)
	}
	d.met[fmt.Sprintf("%s %s %d", strings.ToLower(method), strings.TrimPrefix(route.Path, "/api/v1"), res.StatusCode)] = true
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	question := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	if want < 300 {
		if err := openapi3filter.ValidateRequest(d.t.Context(), question); err != nil {
			d.t.Errorf("%s %s is answered, and isn't in the document: %v", method, path, err)
		}
	}
	said := &openapi3filter.ResponseValidationInput{RequestValidationInput: question, Status: res.StatusCode, Header: res.Header, Options: options}
	if err := openapi3filter.ValidateResponse(d.t.Context(), said.SetBodyBytes(got)); err != nil {
		d.t.Errorf("the answer to %s %s isn't in the document: %v\n%s", method, path, err, got)
	}
	return string(got)
}

// Every address is asked, with parameters and bodies good and bad, of a gateway with a call, a trunk and records; questions and
// answers are what the document says.
func TestOpenAPIIsTheTruth(t *testing.T) {
	s := reading(t)
	d := newDocumented(t, s)
	phones := map[string]*siptest.Phone{}
	for _, user := range []string{"anna", "ben"} {
		phones[user] = siptest.NewPhone(t, siptest.PhoneConfig{User: user, Password: user + "-secret", Server: s.sip})
		phones[user].Register()
	}
	out := phones["anna"].Dial("402")
	in := phones["ben"].Incoming()
	in.Accept()
	out.Wait(sip.KindAnswered)

	var live []struct{ ID string }
	if err := json.Unmarshal([]byte(d.ask("GET", "/calls", "", "", 200)), &live); err != nil || len(live) != 1 {
		t.Fatalf("%v: %v", live, err)
	}
	const nobody = "0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2c"
	call := "/calls/" + live[0].ID
	d.ask("POST", call+"/digits", "", `{"leg":2,"digits":"1"}`, 204)
	d.ask("POST", call+"/digits", "", `{"leg":0,"digits":"1"}`, 400)
	d.ask("POST", "/calls/"+nobody+"/digits", "", `{"leg":2,"digits":"1"}`, 404)
	d.ask("POST", call+"/digits", "", `{"leg":99,"digits":"1"}`, 409)
	d.ask("DELETE", "/calls/nothing", "", "", 400)
	d.ask("DELETE", "/calls/"+nobody, "", "", 404)
	d.ask("DELETE", call, "", "", 204)
	in.Wait(sip.KindEnded)
	d.ask("GET", "/trunks", "", "", 200)
	d.ask("POST", "/trunks/nothing/test", "", `{"timeout":"2s"}`, 404)
	d.ask("POST", "/trunks/nothing/test", "", `{"timeout":"soon"}`, 400)
	d.ask("GET", "/users", "", "", 200)
	d.ask("GET", "/locks", "", "", 200)
	d.ask("DELETE", "/locks/user:anna", "", "", 404)
	d.ask("GET", "/openapi.json", "", "", 200)
	d.askUser()
	d.askReports()
	for _, path := range []string{"/calls", "/trunks", "/users", "/locks", "/openapi.json", "/reports", "/reports/traffic"} {
		d.ask("GET", path, crmToken, "", 403)
	}
	d.ask("DELETE", call, crmToken, "", 403)
	d.ask("POST", call+"/digits", crmToken, `{"leg":2,"digits":"1"}`, 403)
	d.ask("POST", "/trunks/nothing/test", crmToken, `{}`, 403)
	d.ask("DELETE", "/locks/user:anna", crmToken, "", 403)
	d.complete()
}

func (d *documented) askUser() {
	d.t.Helper()
	var in loggedIn
	if err := json.Unmarshal([]byte(d.ask("POST", "/me/login", "", credentials("anna", "anna-secret"), 200)), &in); err != nil {
		d.t.Fatal(err)
	}
	d.ask("POST", "/me/login", "", credentials("anna", "wrong"), 401)
	d.ask("POST", "/me/login", "", `{"user":"anna"}`, 400)
	d.ask("POST", "/me/login", "", "", 415)
	d.ask("POST", "/me/login", "", credentials("anna", strings.Repeat("x", maxLogin)), 413)
	d.ask("GET", "/me/calls?limit=5", in.Token, "", 200)
	d.ask("GET", "/me/calls?limit=0", in.Token, "", 400)
	d.ask("GET", "/me/calls", "", "", 401)
	d.ask("POST", "/me/logout", in.Token, "", 204)
	d.ask("POST", "/me/logout", in.Token, "", 401)
	for range 40 { // as many as it takes
		if d.met["post /me/login 429"] {
			return
		}
		if res, err := http.Post("http://"+d.s.plain+"/api/v1/me/login", "application/json", strings.NewReader(credentials("ben", "wrong"))); err != nil {
			d.t.Fatal(err)
		} else if res.Body.Close(); res.StatusCode == 429 {
			d.ask("POST", "/me/login", "", credentials("ben", "wrong"), 429)
		}
	}
}

func (d *documented) askReports() {
	d.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var got reportAnswer
		if err := json.Unmarshal([]byte(d.ask("GET", "/reports/traffic?by=", "", "", 200)), &got); err != nil {
			d.t.Fatal(err)
		}
		if len(got.Rows) == 1 && got.Rows[0]["answered"] == 1.0 {
			break
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the call isn't in the report: %+v", got)
		}
	}
	d.ask("GET", "/reports", "", "", 200)
	given := map[string]string{"zone": "Asia/Kathmandu", "by": "hour,trunk", "tenant": "default", "direction": "internal", "trunk": "x",
		"account": "user:anna", "destination": "Germany", "codec": "PCMA%2F8000", "cause": "16", "limit": "5", "source": "calls"}
	for _, name := range report.Names() {
		d.ask("GET", "/reports/"+name, "", "", 200)
		for _, format := range report.Formats() {
			d.ask("GET", "/reports/"+name+"?format="+format, "", "", 200)
		}
		for p, v := range given {
			if name == report.Concurrency && slices.Contains([]string{"by", "destination", "codec", "cause"}, p) || name == report.Worst && p == "by" {
				continue
			}
			d.ask("GET", "/reports/"+name+"?from=2026-03-01T12:00&to=2026-03-03&"+p+"="+v, "", "", 200)
		}
	}
	d.ask("GET", "/reports/traffic?order=-asr&progress=true&format=ndjson", "", "", 200)
	d.ask("GET", "/reports/concurrency?step=3600", "", "", 200)
	d.ask("GET", "/reports/weather", "", "", 404)
	d.ask("GET", "/reports/traffic?by=colour", "", "", 400)
}

// complete tells which answers of the document were never seen. What needs a broken database or a dying leg is shown elsewhere.
func (d *documented) complete() {
	d.t.Helper()
	for _, e := range endpoints() {
		for _, a := range e.answers {
			what := fmt.Sprintf("%s %s %d", e.method, e.path, a.status)
			if !d.met[what] && !slices.Contains([]string{"delete /calls/{id} 409", "delete /locks/{account} 204", "post /trunks/{id}/test 200", "post /trunks/{id}/test 409",
				"get /reports/{name} 503", "get /me/calls 503"}, what) {
				d.t.Errorf("%s: never answered so", what)
			}
		}
	}
}
