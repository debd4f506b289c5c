package siptest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// Peer is a SIP endpoint made of a socket and a test's will: it answers nothing by itself.
type Peer struct {
	tb   testing.TB
	udp  *net.UDPConn
	tcp  net.Conn
	web  string // over WebSocket: WS or WSS
	buf  []byte // of TCP, not yet a message
	to   netip.AddrPort
	next atomic.Int64

	seen map[string]bool // messages that came over UDP: repeated ones may come at any time
	done map[string]bool // requests with a final answer
}

// Message is a message as text, taken apart.
type Message struct {
	Start   string
	Headers sip.Headers
	Body    string
	Source  netip.AddrPort
}

// Method is the method of a request, "" for a response.
func (m Message) Method() string {
	if strings.HasPrefix(m.Start, "SIP/2.0 ") {
		return ""
	}
	method, _, _ := strings.Cut(m.Start, " ")
	return method
}

// Status is the status of a response, 0 for a request.
func (m Message) Status() int {
	if m.Method() != "" {
		return 0
	}
	n, _ := strconv.Atoi(strings.SplitN(m.Start, " ", 3)[1])
	return n
}

// Tag is the tag of From or To.
func (m Message) Tag(header string) string {
	v, _ := wire.Param(m.Headers.Get(header), "tag")
	return v
}

// Branch is the branch of the topmost Via.
func (m Message) Branch() string {
	v, _ := wire.Param(m.Headers.Get("Via"), "branch")
	return v
}

// CSeq is the number in CSeq.
func (m Message) CSeq() int {
	n, _, _ := strings.Cut(m.Headers.Get("CSeq"), " ")
	i, _ := strconv.Atoi(n)
	return i
}

// NewPeer opens a UDP socket on loopback that sends to an address, which may be zero if it only answers.
func NewPeer(tb testing.TB, to netip.AddrPort) *Peer {
	return NewPeerAt(tb, "127.0.0.1", to)
}

// NewPeerAt is NewPeer with another loopback address of its own.
func NewPeerAt(tb testing.TB, local string, to netip.AddrPort) *Peer {
	tb.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(local), 0)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return &Peer{tb: tb, udp: c, to: to}
}

// NewTCPPeer connects to an address from a loopback address of its own.
func NewTCPPeer(tb testing.TB, local string, to netip.AddrPort) *Peer {
	tb.Helper()
	d := net.Dialer{Timeout: Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		tb.Fatal(err)
	}
	return Accepted(tb, c)
}

// Accepted is a peer on a connection that somebody else opened.
func Accepted(tb testing.TB, c net.Conn) *Peer {
	tb.Cleanup(func() { c.Close() })
	return &Peer{tb: tb, tcp: c}
}

// Aim changes where the peer sends to.
func (p *Peer) Aim(to netip.AddrPort) { p.to = to }

// Addr is the peer's own address.
func (p *Peer) Addr() netip.AddrPort {
	if p.tcp != nil {
		return p.tcp.LocalAddr().(*net.TCPAddr).AddrPort()
	}
	return p.udp.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (p *Peer) network() string {
	if p.web != "" {
		return p.web
	}
	if p.tcp != nil {
		return "TCP"
	}
	return "UDP"
}

// Close closes the socket.
func (p *Peer) Close() {
	if p.tcp != nil {
		p.tcp.Close()
		return
	}
	p.udp.Close()
}

// Send sends text as it is, except that lone line feeds become line ends.
func (p *Peer) Send(text string) {
	p.tb.Helper()
	if !strings.Contains(text, "\r\n") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	var err error
	if p.tcp != nil {
		_, err = p.tcp.Write([]byte(text))
	} else {
		_, err = p.udp.WriteToUDPAddrPort([]byte(text), p.to)
	}
	if err != nil {
		p.tb.Fatal(err)
	}
}

// Receive waits for a message; ok is false if none comes in time or the connection ends. Requests that Reply has given
// a final answer are skipped when they are repeated, as the answer may have crossed the repetition.
func (p *Peer) Receive(wait time.Duration) (m Message, ok bool) {
	p.tb.Helper()
	for deadline := time.Now().Add(wait); ; {
		if m, ok = p.receive(deadline); !ok || !p.done[m.id()] {
			return m, ok
		}
	}
}

func (p *Peer) receive(deadline time.Time) (m Message, ok bool) {
	p.tb.Helper()
	if p.tcp != nil {
		return p.receiveTCP(deadline)
	}
	buf := make([]byte, 65536)
	p.udp.SetReadDeadline(deadline)
	n, from, err := p.udp.ReadFromUDPAddrPort(buf)
	if err != nil {
		if !errors.Is(err, net.ErrClosed) && !isTimeout(err) {
			p.tb.Fatal(err)
		}
		return Message{}, false
	}
	m = parse(buf[:n])
	m.Source = from
	return m, true
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func (p *Peer) receiveTCP(deadline time.Time) (Message, bool) {
	p.tcp.SetReadDeadline(deadline)
	for {
		p.buf = bytes.TrimLeft(p.buf, "\r\n")
		if head, _, ok := bytes.Cut(p.buf, []byte("\r\n\r\n")); ok {
			m := parse(append(append([]byte(nil), head...), "\r\n\r\n"...))
			n, _ := strconv.Atoi(m.Headers.Get("Content-Length"))
			if size := len(head) + 4 + n; len(p.buf) >= size {
				m.Body = string(p.buf[len(head)+4 : size])
				p.buf = p.buf[size:]
				return m, true
			}
		}
		chunk := make([]byte, 8192)
		n, err := p.tcp.Read(chunk)
		p.buf = append(p.buf, chunk[:n]...)
		if err != nil {
			return Message{}, false
		}
	}
}

func parse(data []byte) Message {
	head, body, _ := strings.Cut(string(data), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := Message{Start: lines[0], Body: body}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		m.Headers = append(m.Headers, sip.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	return m
}

// id is what a message and its repetitions have in common.
func (m Message) id() string { return m.Start + m.Branch() + m.Headers.Get("CSeq") }

// again notes a message and tells whether it came before.
func (p *Peer) again(m Message) bool {
	before := p.seen[m.id()]
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[m.id()] = true
	return before
}

// Request waits for a request of that method; others fail the test, except that a repeated one is skipped.
func (p *Peer) Request(method string) Message {
	p.tb.Helper()
	for {
		m, ok := p.Receive(Patience)
		if !ok {
			p.tb.Fatalf("no %s in %v", method, Patience)
		}
		if again := p.again(m); m.Method() == method {
			return m
		} else if !again {
			p.tb.Fatalf("got %q, expected %s", m.Start, method)
		}
	}
}

// Response waits for a response with that status; 100 is skipped unless asked for, and so are repeated others.
func (p *Peer) Response(status int) Message {
	p.tb.Helper()
	for {
		m, ok := p.Receive(Patience)
		if !ok {
			p.tb.Fatalf("no %d in %v", status, Patience)
		}
		again := p.again(m)
		if m.Status() != status && (m.Status() == 100 || again) {
			continue
		}
		if m.Status() != status {
			p.tb.Fatalf("got %q (%v), expected %d", m.Start, m.Headers.Get("Warning"), status)
		}
		return m
	}
}

// Silence fails the test if a message comes in that time.
func (p *Peer) Silence(wait time.Duration) {
	p.tb.Helper()
	if m, ok := p.Receive(wait); ok {
		p.tb.Fatalf("got %q, expected silence", m.Start)
	}
}

// Reply answers a request. tag goes into To if none is there; extra are header lines, such as "Contact: <sip:…>".
func (p *Peer) Reply(m Message, status int, tag, body string, extra ...string) {
	p.tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, wire.Phrase(status))
	for _, name := range []string{"Via", "Record-Route", "From"} {
		for _, v := range m.Headers.Lines(name) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	to := m.Headers.Get("To")
	if tag != "" && m.Tag("To") == "" {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "To: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", to, m.Headers.Get("Call-ID"), m.Headers.Get("CSeq"))
	p.finish(&b, body, extra)
	if status >= 200 && p.tcp == nil {
		if p.done == nil {
			p.done = map[string]bool{}
		}
		p.done[m.id()] = true
	}
	p.to = m.Source
	p.Send(b.String())
}

func (p *Peer) finish(b *strings.Builder, body string, extra []string) {
	for _, e := range extra {
		b.WriteString(e + "\r\n")
	}
	if body != "" && !strings.Contains(b.String(), "Content-Type:") {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
}

// Contact is a Contact line that leads back to the peer.
func (p *Peer) Contact() string {
	return "Contact: <sip:peer@" + p.host() + p.transport() + ">"
}

// host is what Via and Contact say.
func (p *Peer) host() string {
	if p.web != "" {
		return "peer.invalid"
	}
	return p.Addr().String()
}

func (p *Peer) transport() string {
	if p.web != "" {
		return ";transport=ws"
	}
	if p.tcp != nil {
		return ";transport=tcp"
	}
	return ""
}

// Ask describes a request to write.
type Ask struct {
	Method  string
	URI     string // default sip:service@127.0.0.1
	From    string // default <sip:peer@127.0.0.1>;tag=peer
	To      string // default <URI>
	CallID  string // default a new one
	CSeq    int    // default 1
	Branch  string // default a new one
	Body    string
	Headers []string // lines; Contact is added to INVITE if none is there
}

// Write sends a request and returns what it was filled up to.
func (p *Peer) Write(a Ask) Ask {
	p.tb.Helper()
	n := p.next.Add(1)
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&a.URI, "sip:service@127.0.0.1")
	def(&a.From, "<sip:peer@127.0.0.1>;tag=peer")
	def(&a.To, "<"+a.URI+">")
	def(&a.CallID, fmt.Sprintf("%d-%d@%s", n, time.Now().UnixNano(), p.Addr()))
	def(&a.Branch, fmt.Sprintf("z9hG4bKpeer%d-%d", n, time.Now().UnixNano()))
	if a.CSeq == 0 {
		a.CSeq = 1
	}
	cseqMethod := a.Method
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n",
		a.Method, a.URI, p.network(), p.host(), a.Branch, a.From, a.To, a.CallID, a.CSeq, cseqMethod)
	extra := a.Headers
	if a.Method == "INVITE" && !strings.Contains(strings.Join(extra, "\n"), "Contact:") {
		extra = append(append([]string(nil), extra...), p.Contact())
	}
	p.finish(&b, a.Body, extra)
	p.Send(b.String())
	return a
}

// Ack sends the ACK of a final response to INVITE: of the same transaction for a failure, of its own for a success.
func (p *Peer) Ack(a Ask, res Message, body string) {
	p.tb.Helper()
	ack := Ask{Method: "ACK", URI: a.URI, From: a.From, To: res.Headers.Get("To"), CallID: a.CallID, CSeq: a.CSeq, Body: body}
	if res.Status() >= 300 {
		ack.Branch = a.Branch
	} else if c, err := sip.ParseNameAddr(res.Headers.Get("Contact")); err == nil {
		ack.URI = c.URI.String()
	}
	p.Write(ack)
}
