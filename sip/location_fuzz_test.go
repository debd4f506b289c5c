package sip

import (
	"bytes"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip/wire"
)

// FuzzLocation: what is taken for a location is within bounds, and goes on beside SDP just as it came.
func FuzzLocation(f *testing.F) {
	part := func(head, body string) []byte {
		return []byte("--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x\r\n" + head + "\r\n\r\n" + body + "\r\n--x--\r\n")
	}
	f.Add("multipart/mixed;boundary=x", part("Content-Type: application/pidf+xml\r\nContent-ID: <a@b>", "<presence/>"))
	f.Add(`multipart/mixed; boundary="x"`, part("content-type: Application/PIDF+XML; charset=utf-8\r\ncontent-id: a@b", "\r\n--y\r\n"))
	f.Add("multipart/mixed;boundary=x", part("Content-Type: application/pidf+xml\r\nContent-ID: <a@b>\r\nContent-Transfer-Encoding: quoted-printable", "=3Cpresence=2F>"))
	f.Add("multipart/mixed;boundary=x", part("Content-Type: application/pidf+xml\r\nContent-ID: <a\r\n b>", "<presence/>"))
	f.Add("multipart/mixed;boundary=", part("Content-Type: application/pidf+xml", ""))
	f.Add("multipart/mixed;boundary=x", []byte("--x\r\nContent-Type: application/pidf+xml\r\nContent-ID: <a>\r\n\r\nnever ends"))
	f.Fuzz(func(t *testing.T, ctype string, body []byte) {
		l := location(&wire.Message{Headers: Headers{{Name: "Content-Type", Value: ctype}}, Body: body})
		if l == nil {
			return
		}
		if len(l.Body) == 0 || len(l.Body) > min(maxLocation, len(body)) || l.ID == "" || strings.ContainsAny(l.ID, "<> \t\r\n\"") {
			t.Fatalf("%q in a body of %d bytes: id %q, location of %d", ctype, len(body), l.ID, len(l.Body))
		}
		mixed, out := l.beside("application/sdp", []byte("v=0\r\n"))
		if err := wire.CheckHeader(Header{Name: "Content-Type", Value: mixed}); err != nil {
			t.Fatal(err)
		}
		m := &wire.Message{Headers: Headers{{Name: "Content-Type", Value: mixed}}, Body: out}
		if again := location(m); again == nil || again.ID != l.ID || !bytes.Equal(again.Body, l.Body) {
			t.Fatalf("%q, %q goes on as %+v", l.ID, l.Body, again)
		}
		if kind, sdp := content(m); kind != "application/sdp" || string(sdp) != "v=0\r\n" {
			t.Fatalf("the SDP beside it is read as %q, %q", kind, sdp)
		}
	})
}
