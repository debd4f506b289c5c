package flow

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// pinged opens a connection that is pinged every 50 ms, and returns both ends.
func pinged(t *testing.T) (ours *Flow, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lim := limits()
	lim.Ping = 50 * time.Millisecond
	d := NewDialer(loop.Addr(), 10, newSink(), lim)
	t.Cleanup(func() { d.Close() })
	if ours, err = d.Dial(t.Context(), addrPort(ln.Addr())); err != nil {
		t.Fatal(err)
	}
	if theirs, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	theirs.SetDeadline(time.Now().Add(10 * time.Second))
	return ours, theirs
}

func pings(t *testing.T, from net.Conn, n int) {
	t.Helper()
	b := make([]byte, 4*n)
	if _, err := io.ReadFull(from, b); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("\r\n\r\n"), n)) {
		t.Fatalf("%q, %v: expected %d pings", b, err, n)
	}
}

// TestPing: who has never answered may be silent; who has and doesn't any more is gone. An answer isn't answered.
func TestPing(t *testing.T) {
	t.Parallel()
	ours, theirs := pinged(t)
	pings(t, theirs, 4)
	if !ours.Alive() {
		t.Fatal("the connection to a peer that knows no pings is closed")
	}
	if _, err := theirs.Write(crlf); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ours.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the connection to a peer that doesn't answer any more is open")
	}
	left, err := io.ReadAll(theirs)
	if len(bytes.ReplaceAll(left, ping, nil)) > 0 {
		t.Errorf("%q, %v: expected pings alone", left, err)
	}
}
