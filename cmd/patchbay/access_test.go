package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/sip/siptest"
)

const (
	crmToken   = "crm-0123456789abcdefghij"
	auditToken = "audit-0123456789~._-abcdef"
	rootToken  = "root-0123456789abcdefghij"
	oldToken   = "old-0123456789abcdefghijk"
)

func testTokens() []Token {
	hash := sha256.Sum256([]byte(auditToken))
	return []Token{
		{ID: "crm", Secret: crmToken, Roles: []string{"control"}, Objects: 5, Connections: 3},
		{ID: "audit", Tenant: "books", SHA256: Secret(hex.EncodeToString(hash[:])), Roles: []string{"read", "billing"}},
		{ID: "root", Secret: rootToken, Roles: []string{"admin"}},
		{ID: "old", Secret: oldToken, Roles: []string{"admin"}, Expires: time.Now().Add(-time.Minute)},
	}
}

func testAccess(t *testing.T, log *slog.Logger) *access {
	t.Helper()
	cfg := defaults()
	cfg.Tokens = testTokens()
	cfg.complete()
	a, err := newAccess(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What shows a token is let in as its principal from anywhere, over TLS; what shows none only from this host.
func TestGuardWithTokens(t *testing.T) {
	const self, other = "127.0.0.1:4711", "192.0.2.7:4711"
	for _, x := range []struct {
		name, url, peer string
		header          http.Header
		want            int
		who, says       string
	}{
		{"own program", "http://localhost:8888/kurento", self, nil, 200, "(this host)", ""},
		{"own program, an SDK's Origin", "http://localhost:8888/kurento", self, http.Header{"Origin": {"localhost:8888"}}, 200, "(this host)", ""},
		{"own program, evil page", "http://localhost:8888/kurento", self, http.Header{"Origin": {"https://evil.example"}}, 403, "", "Origin"},
		{"own program, evil name", "http://evil.example/kurento", self, nil, 403, "", "evil.example is not this host"},
		{"own program with a token", "http://localhost:8888/kurento?access_token=" + crmToken, self, nil, 200, "crm", ""},
		{"other host", "https://gw.example:8433/kurento", other, nil, 403, "", "without a token"},
		{"header", "https://gw.example:8433/kurento", other, http.Header{"Authorization": {"bearer  " + crmToken}}, 200, "crm", ""},
		{"address", "https://gw.example:8433/kurento?x=1&access_token=" + auditToken, other, nil, 200, "audit", ""},
		{"subprotocol", "https://gw.example:8433/kurento", other, http.Header{"Sec-Websocket-Protocol": {"kurento, bearer." + auditToken}}, 200, "audit", ""},
		{"subprotocols in two lines", "https://gw.example:8433/kurento", other, http.Header{"Sec-Websocket-Protocol": {"bearer." + rootToken, "kurento"}}, 200, "root", ""},
		{"subprotocol alone", "https://gw.example:8433/kurento", other, http.Header{"Sec-Websocket-Protocol": {"bearer." + rootToken}}, 400, "", "beside the subprotocol kurento"},
		{"two tokens", "https://gw.example:8433/kurento?access_token=" + crmToken, other, http.Header{"Authorization": {"Bearer " + crmToken}}, 400, "", "more than one token"},
		{"other scheme", "https://gw.example:8433/kurento", other, http.Header{"Authorization": {"Basic " + crmToken}}, 400, "", "expected Bearer"},
		{"empty", "https://gw.example:8433/kurento?access_token=", other, nil, 400, "", "a token is"},
		{"wrong", "https://gw.example:8433/kurento?access_token=" + crmToken + "x", other, nil, 401, "", "the token is wrong"},
		{"a part", "https://gw.example:8433/kurento?access_token=" + crmToken[:20], other, nil, 401, "", "the token is wrong"},
		{"wrong from here", "http://localhost:8888/kurento?access_token=none", self, nil, 401, "", "the token is wrong"},
		{"expired", "https://gw.example:8433/kurento?access_token=" + oldToken, other, nil, 401, "", "the token has expired"},
		{"in clear", "http://gw.example:8888/kurento?access_token=" + crmToken, other, nil, 403, "", "https or wss"},
		{"proxy on this host", "http://gw.example/kurento?access_token=" + crmToken, self, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, 200, "crm", ""},
		{"evil page with a token", "https://gw.example:8433/kurento?access_token=" + crmToken, other, http.Header{"Origin": {"https://evil.example"}}, 403, "", "Origin"},
		{"listed page with a token", "https://gw.example:8433/kurento?access_token=" + crmToken, other, http.Header{"Origin": {"https://crm.example"}}, 200, "crm", ""},
		{"the API", "https://gw.example:8433/api/v1/calls", other, http.Header{"Authorization": {"Bearer " + rootToken}}, 200, "root", ""},
		{"profiles", "https://gw.example:8433/debug/pprof/heap", other, http.Header{"Authorization": {"Bearer " + rootToken}}, 200, "root", ""},
		{"profiles for a tenant", "https://gw.example:8433/debug/pprof/heap", other, http.Header{"Authorization": {"Bearer " + crmToken}}, 403, "", "role admin"},
		{"the API of all tenants", "https://gw.example:8433/api/v1/calls", other, http.Header{"Authorization": {"Bearer " + crmToken}}, 403, "", "role admin, this one has: control"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var who rpc.Principal
			g := &guard{route: func(r *http.Request) string { return r.URL.Path }, plain: netip.MustParseAddr("127.0.0.1"), access: testAccess(t, quiet),
				origins: origins{ports: []uint16{8888, 8433}, listed: []string{"https://crm.example"}},
				next:    http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who, _ = principal(r) })}
			r := httptest.NewRequest("GET", x.url, nil)
			r.RemoteAddr = x.peer
			if strings.HasPrefix(x.url, "https") {
				r.TLS = &tls.ConnectionState{}
			}
			for name, values := range x.header {
				r.Header[name] = values
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if w.Code != x.want || who.Name != x.who || !strings.Contains(w.Body.String(), x.says) {
				t.Errorf("%d as %q: %s; expected %d as %q: %s", w.Code, who.Name, w.Body, x.want, x.who, x.says)
			}
			if w.Code == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("WWW-Authenticate is %q", w.Header().Get("WWW-Authenticate"))
			}
			if w.Code != 200 && said(t, w) == "" {
				t.Errorf("the body is %s", w.Body)
			}
		})
	}
}

// Who guesses is refused unheard for a while, right tokens aren't, not even from there; no log holds what was tried.
func TestTokensGuessed(t *testing.T) {
	var log bytes.Buffer
	a := testAccess(t, slog.New(slog.NewTextHandler(&log, nil)))
	now := time.Now()
	a.now, a.guesses.now = func() time.Time { return now }, func() time.Time { return now }
	guesser, other := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	for i := range maxFailures {
		if _, wait, err := a.check(guesser, fmt.Sprint("guess-0123456789-", i)); wait != 0 || err == nil {
			t.Fatalf("guess %d: wait %s, %v", i, wait, err)
		}
	}
	if _, wait, err := a.check(guesser, "guess-0123456789-x"); wait <= 0 || err == nil {
		t.Errorf("one too many: wait %s, %v", wait, err)
	}
	if who, wait, err := a.check(guesser, crmToken); wait != 0 || err != nil || who.Name != "crm" || !who.Foreign {
		t.Errorf("a right one from the same address: %+v, wait %s, %v", who, wait, err)
	}
	if who, _, err := a.check(other, crmToken); err != nil || who.Name != "crm" || who.Tenant != "default" || who.Roles != rpc.Control || who.Quota.Objects != 5 {
		t.Errorf("another source: %+v, %v", who, err)
	}
	now = now.Add(failureWindow)
	if _, wait, err := a.check(guesser, "guess-0123456789-y"); wait != 0 || err == nil {
		t.Errorf("after a while: wait %s, %v", wait, err)
	}
	for range 20 {
		if _, wait, err := a.check(other, oldToken); wait != 0 || err == nil {
			t.Errorf("an expired token is no guess: wait %s, %v", wait, err)
		}
	}
	if good, wrong, limited := a.used.good.Load(), a.used.wrong.Load(), a.used.limited.Load(); good != 2 || wrong != 26 || limited != 1 {
		t.Errorf("counted %d good, %d wrong, %d limited", good, wrong, limited)
	}
	for _, secret := range []string{"guess", crmToken, oldToken} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	w := httptest.NewRecorder()
	refused(w, 1500*time.Millisecond, fmt.Errorf("x"))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

// askRPC makes one request over JSON-RPC and returns the reply.
func askRPC(t *testing.T, ws *websocket.Conn, id int, method, params string) string {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(siptest.Patience))
	if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)); err != nil {
		t.Fatal(err)
	}
	_, b, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The process speaks JSON-RPC at /kurento: to this host's programs as they are, over TLS to who shows a token.
func TestRPCOverHTTP(t *testing.T) {
	r := startServer(t)
	local, _, err := websocket.DefaultDialer.Dial("ws://"+r.plain+rpcPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	var made struct {
		Result struct{ Value, SessionID string }
	}
	if err := json.Unmarshal([]byte(askRPC(t, local, 0, "create", `"type":"MediaPipeline"`)), &made); err != nil || made.Result.Value == "" {
		t.Fatalf("create: %+v %v", made, err)
	}
	if got := askRPC(t, local, 1, "invoke", `"object":"manager_ServerManager","operation":"getInfo"`); !strings.Contains(got, `"name":"telephony"`) {
		t.Errorf("getInfo: %s", got)
	}
	if got := askRPC(t, local, 2, "invoke", `"object":"manager_ServerManager","operation":"getSessions"`); !strings.Contains(got, made.Result.SessionID) {
		t.Errorf("getSessions: %s", got)
	}

	dialer := websocket.Dialer{TLSClientConfig: r.roots, Subprotocols: []string{rpc.Subprotocol, bearerProtocol + auditToken}}
	audit, resp, err := dialer.Dial("wss://"+r.secure+rpcPath, nil)
	if err != nil {
		t.Fatalf("%v %v", err, resp)
	}
	defer audit.Close()
	if got := resp.Header.Values("Sec-Websocket-Protocol"); len(got) != 1 || got[0] != rpc.Subprotocol {
		t.Errorf("the selected protocol is %q", got)
	}
	if got := askRPC(t, audit, 0, "describe", `"object":"`+made.Result.Value+`"`); !strings.Contains(got, "40101") {
		t.Errorf("another tenant's object: %s", got)
	}
	if got := askRPC(t, audit, 1, "create", `"type":"MediaPipeline"`); !strings.Contains(got, "needs the role control, you have: read, billing") {
		t.Errorf("create without the role: %s", got)
	}
	if got := askRPC(t, audit, 2, "invoke", `"object":"manager_ServerManager","operation":"getPipelines"`); !strings.Contains(got, `"value":[]`) {
		t.Errorf("pipelines of a tenant that has none: %s", got)
	}
	for token, want := range map[string]int{"none": 401, oldToken: 401, "": 400} {
		if _, resp, err := websocket.DefaultDialer.Dial("ws://"+r.plain+rpcPath+"?access_token="+token, nil); err == nil || resp == nil || resp.StatusCode != want {
			t.Errorf("token %q: %v %v, expected %d", token, resp, err, want)
		}
	}
	if resp, err := http.Get("http://" + r.plain + rpcPath); err != nil || resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("GET without upgrade: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	resp, err = http.Get("http://" + r.plain + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"patchbay_rpc_connections 2\n", "patchbay_rpc_sessions 2\n", `patchbay_rpc_requests_total{method="create"} 2`, `patchbay_rpc_errors_total{code="40101"} 1`,
		`patchbay_rpc_errors_total{code="49403"} 1`, "patchbay_rpc_objects 3\n", "patchbay_rpc_slow_clients_total 0\n", `patchbay_rpc_tokens_total{result="wrong"} 2`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("metrics don't say %s", want)
		}
	}
}
