package rpc_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

// peer is a WebSocket client that can also do what a library's wouldn't.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	head http.Header
}

const (
	more, text, binaryFrame, closing, ping, pong = 0, 1, 2, 8, 9, 10
	final                                        = 0x80
)

// raw opens a connection with extra header lines.
func (s *served) raw(t testing.TB, header ...string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	var key [16]byte
	_, _ = rand.Read(key[:])
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(key[:]), strings.Join(append(header, ""), "\r\n"))
	p := &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %+v %v", resp, err)
	}
	p.head = resp.Header
	return p
}

// frame writes one frame; size says a length that isn't that of the payload, if it isn't 0.
func (p *peer) frame(op byte, payload []byte, size uint64) {
	p.t.Helper()
	if size == 0 {
		size = uint64(len(payload))
	}
	b := append([]byte{op, 0x80 | 127}, binary.BigEndian.AppendUint64(nil, size)...)
	if op&0x0f >= closing {
		b = []byte{op, 0x80 | byte(size)}
	} else if size < 126 {
		b = []byte{op, 0x80 | byte(size)}
	} else if size < 1<<16 {
		b = append([]byte{op, 0x80 | 126}, binary.BigEndian.AppendUint16(nil, uint16(size))...)
	}
	mask := [4]byte{0xa5, 0x5a, 0x3c, 0xc3}
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i%4])
	}
	_, _ = p.conn.Write(b) // the server may have ended it: what comes back tells
}

func (p *peer) say(s string) { p.t.Helper(); p.frame(final|text, []byte(s), 0) }

// hear reads a frame.
func (p *peer) hear() (op byte, payload []byte) {
	p.t.Helper()
	var h [2]byte
	if _, err := io.ReadFull(p.in, h[:]); err != nil {
		p.t.Fatalf("read frame: %v", err)
	}
	n := uint64(h[1])
	switch {
	case n > 127:
		p.t.Fatal("the server masks its frames")
	case n == 126:
		var b [2]byte
		_, _ = io.ReadFull(p.in, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case n == 127:
		var b [8]byte
		_, _ = io.ReadFull(p.in, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(p.in, payload); err != nil {
		p.t.Fatalf("read %d bytes: %v", n, err)
	}
	return h[0], payload
}

func (p *peer) wants(what, want string) {
	p.t.Helper()
	if op, got := p.hear(); op != final|text || string(got) != want {
		p.t.Fatalf("%s: frame %#x %s, want text %s", what, op, got, want)
	}
}

// closes expects the end of the connection, with a code and a reason.
func (p *peer) closes(code uint16, why string) {
	p.t.Helper()
	op, b := p.hear()
	if op != final|closing || len(b) < 2 || binary.BigEndian.Uint16(b) != code || !strings.Contains(string(b[2:]), why) {
		p.t.Fatalf("frame %#x %q, want close %d %q", op, b, code, why)
	}
	if n, err := io.Copy(io.Discard, p.in); err != nil || n > 0 {
		p.t.Fatalf("%d bytes after the close: %v", n, err)
	}
}

const pinged = `{"id":1,"jsonrpc":"2.0","result":{"value":"pong"}}`

// Requests come as text or as bytes, in one frame or in many with control frames between; replies are one text frame.
func TestFrames(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	p := s.raw(t, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Origin: 127.0.0.1:1234")
	if x := p.head.Get("Sec-Websocket-Extensions"); x != "" {
		t.Errorf("extension %s was accepted", x)
	}
	if x := p.head.Get("Sec-Websocket-Protocol"); x != "" {
		t.Errorf("protocol %s was selected", x)
	}
	const request = ` {"jsonrpc":"2.0","method":"ping","id":1} `
	p.say(request)
	p.wants("text", pinged)
	p.frame(final|binaryFrame, []byte(request), 0)
	p.wants("bytes", pinged)
	p.frame(binaryFrame, []byte(request[:1]), 0)
	for i := 1; i < len(request); i++ {
		p.frame(final|ping, []byte("are you there"), 0)
		if op, b := p.hear(); op != final|pong || string(b) != "are you there" {
			t.Fatalf("pong: %#x %s", op, b)
		}
		end := byte(0)
		if i == len(request)-1 {
			end = final
		}
		p.frame(end|more, []byte{request[i]}, 0)
	}
	p.wants("fragments", pinged)
	p.frame(final|closing, binary.BigEndian.AppendUint16(nil, 1000), 0)
	if op, b := p.hear(); op != final|closing || binary.BigEndian.Uint16(b) != 1000 {
		t.Errorf("the answer to a close: %#x %x", op, b)
	}

	p = s.raw(t, "Sec-WebSocket-Protocol: other, kurento")
	if x := p.head.Get("Sec-Websocket-Protocol"); x != rpc.Subprotocol {
		t.Errorf("protocol %q was selected", x)
	}
}

// What is too large ends the connection, and says so, even before it is all there.
func TestTooLarge(t *testing.T) {
	s := serve(t, rpc.ServerConfig{MaxMessage: 4096})
	fits := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"`
	fits += strings.Repeat("x", 4096-len(fits)-3) + `"}}`
	p := s.raw(t)
	p.say(fits)
	p.wants("largest message", pinged)
	p.say(fits + " ")
	p.closes(1009, "message is larger than 4096 bytes")

	p = s.raw(t)
	p.frame(final|text, bytes.Repeat([]byte("x"), 4097), 1<<40)
	p.closes(1009, "4096")

	p = s.raw(t)
	for i := range 5 {
		op := byte(more)
		if i == 0 {
			op = text
		}
		p.frame(op, bytes.Repeat([]byte(" "), 1000), 0)
	}
	p.closes(1009, "4096")
	p.frame(final|more, bytes.Repeat([]byte(" "), 1<<20), 0) // nobody reads it, and nobody minds

	s = serve(t, rpc.ServerConfig{})
	p = s.raw(t)
	p.say(`{"jsonrpc":"2.0","id":1,"method":"ping"}` + strings.Repeat(" ", 1<<20-40))
	p.wants("1 MiB", pinged)
	p.say(strings.Repeat(" ", 1<<20+1))
	p.closes(1009, "1048576")
}

// The envelope: what comes in, and what goes out, to the letter.
func TestEnvelope(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	p := s.raw(t)
	const (
		none    = ""
		invalid = `{"id":null,"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid JSON-RPC request."}}`
	)
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, x := range [][2]string{
		{`{"jsonrpc":"2.0","id":"a b ü \"","method":"ping"}`, `{"id":"a b ü \"","jsonrpc":"2.0","result":{"value":"pong"}}`},
		{`{"jsonrpc":"2.0","id":1.50e+1,"method":"ping","params":{}}`, `{"id":1.50e+1,"jsonrpc":"2.0","result":{"value":"pong"}}`},
		{`{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}`, `{"id":18446744073709551616,"jsonrpc":"2.0","result":{"value":"pong"}}`},
		{`{"params":null,"method":"p\u0069ng","id":true,"jsonrpc":"2.0","more":[1]}`, `{"id":true,"jsonrpc":"2.0","result":{"value":"pong"}}`},
		{`{"jsonrpc":"2.0","method":"ping"}`, none},
		{`{"jsonrpc":"2.0","id":null,"method":"ping"}`, none},
		{`{"jsonrpc":"2.0","method":"nothing"}`, none},
		{`{"jsonrpc":"2.0","id":1,"method":"nothing"}`, `{"id":1,"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found."}}`},
		{`[]`, invalid},
		{`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, invalid},
		{`5`, invalid},
		{`null`, invalid},
		{`{}`, invalid},
		{`{"jsonrpc":"2.0","id":1}`, invalid},
		{`{"jsonrpc":"2.0","id":1,"method":5}`, invalid},
		{`{"jsonrpc":"2.0","id":1,"method":null}`, invalid},
		{`{"jsonrpc":"1.0","id":1,"method":"ping"}`, invalid},
		{`{"jsonrpc":2.0,"id":1,"method":"ping"}`, invalid},
		{`{"id":1,"method":"ping"}`, invalid},
		{`{"jsonrpc":"2.0","id":[1],"method":"ping"}`, invalid},
		{`{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}`, invalid},
		{`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 300) + `","method":"ping"}`, invalid},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, invalid},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, `{"id":1,"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid method parameters: 'params' should be a object","data":{"type":"INVALID_PARAMS"}}}`},
		{``, `-32700`}, {` `, `-32700`}, {`{`, `-32700`}, {`{"jsonrpc":"2.0","id":1,"method":"ping"}}`, `-32700`}, {"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}", `-32700`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + deep(100) + `}}`, `-32700`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + strings.Repeat("[", 500_000) + `}}`, `-32700`},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + deep(30) + `}}`, pinged},
	} {
		p.say(x[0])
		if x[1] == none {
			continue
		}
		op, got := p.hear()
		want := x[1]
		if want == "-32700" {
			if !strings.HasPrefix(string(got), `{"id":null,"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error: `) {
				t.Errorf("%.100q: %s, want a parse error", x[0], got)
			}
		} else if op != final|text || string(got) != want {
			t.Errorf("%.100q: %s, want %s", x[0], got, want)
		}
	}
}

// Frames that no client may send end the connection.
func TestBadFrames(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	for name, b := range map[string][]byte{
		"unmasked": {final | text, 2, '{', '}'}, "reserved opcode": {final | 3, 0x80, 0, 0, 0, 0}, "compressed": {final | 0x40 | text, 0x80, 0, 0, 0, 0},
		"continuation of nothing": {final, 0x80, 0, 0, 0, 0}, "fragmented ping": {ping, 0x80, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.raw(t)
			_, _ = p.conn.Write(b)
			p.closes(1002, "")
		})
	}
}
