package siptest

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// NewWebPeer connects to a server of SIP over WebSocket at a ws or wss URL. The peer's Contact has a host that doesn't
// exist, as browsers' have (RFC 7118 5).
func NewWebPeer(tb testing.TB, url string, config *tls.Config) *Peer {
	tb.Helper()
	c, _, err := DialWeb(url, config, nil)
	if err != nil {
		tb.Fatal(err)
	}
	p := Accepted(tb, &frames{Conn: c.NetConn(), web: c})
	p.web = "WS"
	if config != nil {
		p.web = "WSS"
	}
	return p
}

// DialWeb makes the handshake of SIP over WebSocket with more header fields; the Response is the answer to it.
func DialWeb(url string, config *tls.Config, header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: []string{"sip"}, HandshakeTimeout: Patience, TLSClientConfig: config}
	return d.Dial(url, header)
}

// frames is a connection whose writes are frames and whose reads are what is in frames.
type frames struct {
	net.Conn
	web  *websocket.Conn
	rest []byte
}

func (f *frames) Write(b []byte) (int, error) {
	return len(b), f.web.WriteMessage(websocket.TextMessage, b)
}

func (f *frames) Read(b []byte) (int, error) {
	if len(f.rest) == 0 {
		_, data, err := f.web.ReadMessage()
		if err != nil {
			return 0, err
		}
		f.rest = data
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// Leave closes the connection as a browser does when its page is closed.
func (p *Peer) Leave() {
	p.tb.Helper()
	f := p.tcp.(*frames)
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	if err := f.web.WriteControl(websocket.CloseMessage, bye, time.Now().Add(Patience)); err != nil {
		p.tb.Fatal(err)
	}
	p.Close()
}
