//go:build e2e

package web_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/patchbay/patchbay/web"
)

const (
	realm    = "stub.example"
	user     = "alice"
	password = "correct horse"
)

// message is a SIP message, as far as the stub needs it.
type message struct {
	first   string
	headers [][2]string
	body    string
}

func parse(raw string) message {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := message{first: lines[0], body: body}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		m.headers = append(m.headers, [2]string{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
	}
	return m
}

func (m message) get(name string) string {
	for _, h := range m.headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

func (m message) method() string {
	method, _, _ := strings.Cut(m.first, " ")
	return method
}

// status is that of a response, 0 for a request.
func (m message) status() (n int) {
	_, _ = fmt.Sscanf(m.first, "SIP/2.0 %d", &n)
	return n
}

// dialled is the user part of the request's address.
func (m message) dialled() string {
	return regexp.MustCompile(`sip:([^@]+)@`).FindStringSubmatch(m.first)[1]
}

// stub is a gateway of one user: the page's handler, a login, a list of calls, and enough of SIP over WebSocket for one
// phone.
type stub struct {
	t *testing.T

	mu      sync.Mutex
	conn    *websocket.Conn // the one that registered last
	contact string
	seen    []message // what came, in order
	away    bool      // neither /sip nor /api answer
	noAPI   bool      // /api answers 404
	records string    // what /api/v1/me/calls gives
	peers   map[string]*peer
	codec   string
	limited limits
	reports reportStub
}

// limits are the statuses by which the stub lets nobody in, each with Retry-After; 0: it lets people in.
type limits struct{ api, socket, register int }

const heldFor = "200" // seconds

func newStub(t *testing.T) *stub {
	return &stub{t: t, records: "[]", peers: map[string]*peer{}, codec: "PCMU"}
}

func (s *stub) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.HandleFunc("/sip", s.sip)
	mux.HandleFunc("POST /api/v1/me/login", s.login)
	mux.HandleFunc("GET /api/v1/me/calls", s.calls)
	mux.HandleFunc("GET /api/v1/reports/{name}", s.report)
	return mux
}

// set changes the stub's manners.
func (s *stub) set(change func(*stub)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *stub) api(w http.ResponseWriter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away:
		http.Error(w, "away", http.StatusBadGateway)
	case s.limited.api != 0:
		w.Header().Set("Retry-After", heldFor)
		http.Error(w, "held off", s.limited.api)
	case s.noAPI:
		http.Error(w, "not here", http.StatusNotFound)
	default:
		return true
	}
	return false
}

func (s *stub) login(w http.ResponseWriter, r *http.Request) {
	if !s.api(w) {
		return
	}
	b := make([]byte, 1024)
	n, _ := r.Body.Read(b)
	if string(b[:n]) != fmt.Sprintf(`{"user":%q,"password":%q}`, user, password) {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token":"t0ken","sip":{"uri":"sip:%s@%s","realm":%q},"ice":[]}`, user, realm, realm)
}

func (s *stub) calls(w http.ResponseWriter, r *http.Request) {
	if !s.api(w) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer t0ken" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(w, s.records)
}

func (s *stub) sip(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	away, held := s.away, s.limited.socket
	s.mu.Unlock()
	if held != 0 {
		w.Header().Set("Retry-After", heldFor)
		http.Error(w, "held off", held)
		return
	}
	if away {
		http.Error(w, "away", http.StatusBadGateway)
		return
	}
	up := websocket.Upgrader{Subprotocols: []string{"sip"}}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if m := parse(string(b)); m.first != "" {
			s.receive(conn, m)
		}
	}
}

func (s *stub) receive(conn *websocket.Conn, m message) {
	s.mu.Lock()
	s.seen = append(s.seen, m)
	s.mu.Unlock()
	switch m.method() {
	case "REGISTER":
		s.register(conn, m)
	case "INVITE":
		s.invite(conn, m)
	case "BYE", "INFO", "CANCEL":
		s.answer(conn, m, "200 OK", "")
	}
	if m.method() == "CANCEL" {
		for _, inv := range s.all("INVITE") {
			if inv.get("call-id") == m.get("call-id") {
				s.answer(conn, inv, "487 Request Terminated", "")
			}
		}
	}
}

func (s *stub) register(conn *websocket.Conn, m message) {
	s.mu.Lock()
	held := s.limited.register
	s.mu.Unlock()
	if held != 0 {
		s.answer(conn, m, fmt.Sprintf("%d Held Off", held), "", "Retry-After: "+heldFor)
		return
	}
	field := func(name string) string {
		if f := regexp.MustCompile(`\b` + name + `="?([^",]+)`).FindStringSubmatch(m.get("authorization")); f != nil {
			return f[1]
		}
		return ""
	}
	hash := func(parts ...string) string {
		sum := md5.Sum([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(sum[:])
	}
	want := hash(hash(user, realm, password), "n0nce", field("nc"), field("cnonce"), "auth", hash("REGISTER", field("uri")))
	if field("response") != want {
		s.answer(conn, m, "401 Unauthorized", "", `WWW-Authenticate: Digest realm="`+realm+`", nonce="n0nce", algorithm=MD5, qop="auth"`)
		return
	}
	contact := m.get("contact")
	s.mu.Lock()
	s.conn, s.contact = conn, regexp.MustCompile(`<([^>]+)>`).FindStringSubmatch(contact)[1]
	s.mu.Unlock()
	if !strings.Contains(contact, "expires=") {
		contact += ";expires=120"
	}
	s.answer(conn, m, "200 OK", "", "Contact: "+contact)
}

// invite answers a call: 404 and 486 are what they say, 7xx rings, anything else is taken.
func (s *stub) invite(conn *websocket.Conn, m message) {
	s.answer(conn, m, "100 Trying", "")
	if p := s.peer(m.get("call-id")); p != nil { // a re-INVITE
		s.answer(conn, m, "200 OK", p.answer(m.body))
		return
	}
	switch d := m.dialled(); {
	case d == "404":
		s.answer(conn, m, "404 Not Found", "", `Reason: Q.850;cause=1;text="Unallocated number"`)
	case d == "486":
		s.answer(conn, m, "486 Busy Here", "")
	case strings.HasPrefix(d, "7"):
		s.answer(conn, m, "180 Ringing", "")
	default:
		s.answer(conn, m, "180 Ringing", "")
		p := newPeer(s.t, s.codec)
		s.mu.Lock()
		s.peers[m.get("call-id")] = p
		s.mu.Unlock()
		s.answer(conn, m, "200 OK", p.answer(m.body))
	}
}

func (s *stub) peer(call string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[call]
}

func (s *stub) answer(conn *websocket.Conn, m message, status, body string, headers ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for _, h := range m.headers {
		switch h[0] {
		case "via", "from", "call-id", "cseq", "record-route":
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		case "to":
			to := h[1]
			if !strings.Contains(to, "tag=") && !strings.HasPrefix(status, "100") {
				to += ";tag=stub"
			}
			fmt.Fprintf(&b, "To: %s\r\n", to)
		}
	}
	if m.method() == "INVITE" {
		b.WriteString("Contact: <sip:stub@" + realm + ";transport=ws>\r\n")
	}
	s.write(conn, b.String(), body, headers)
}

func (s *stub) write(conn *websocket.Conn, head, body string, headers []string) {
	for _, h := range headers {
		head += h + "\r\n"
	}
	if body != "" && !strings.Contains(head, "Content-Type:") {
		head += "Content-Type: application/sdp\r\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A page that has gone doesn't hear it: the test notices what it misses.
	_ = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body))
}

// request sends one to the phone. to is the dialog's remote party with its tag, or "" at the start.
func (s *stub) request(method, call string, seq int, to, body string, headers ...string) {
	s.mu.Lock()
	conn, contact := s.conn, s.contact
	s.mu.Unlock()
	if to == "" {
		to = "<sip:" + user + "@" + realm + ">"
	}
	head := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/WS stub.invalid;branch=z9hG4bK%s%d\r\nMax-Forwards: 69\r\n"+
		"From: \"Front desk\" <sip:200@%s>;tag=caller\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:stub@%s;transport=ws>\r\n",
		method, contact, call, seq, realm, to, call, seq, method, realm)
	s.write(conn, head, body, headers)
}

// all are the requests of a method that came.
func (s *stub) all(method string) []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []message
	for _, m := range s.seen {
		if m.method() == method {
			found = append(found, m)
		}
	}
	return found
}

// await waits for a message that fits, the newest first.
func (s *stub) await(what string, fits func(message) bool) message {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		seen := slices.Clone(s.seen)
		s.mu.Unlock()
		slices.Reverse(seen)
		for _, m := range seen {
			if fits(m) {
				return m
			}
		}
	}
	s.t.Fatalf("%s didn't come", what)
	return message{}
}

// leave makes the gateway unreachable, or reachable again.
func (s *stub) leave(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
	if away && s.conn != nil {
		_ = s.conn.Close()
	}
}
