package webrtc

import (
	"context"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// A leg of audio gets pictures where the peer restarts ICE: another certificate and another line. Without a restart, or where the answer
// is taken back, it stays as it was.
func TestPicturesLater(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, func(cfg *Config) { cfg.Video, cfg.Data = pictures(), true }), newCaller(t)
	c.offers(l, "actpass")
	first := l.agreed.Load().line
	if _, ok := first.(*peer); !ok {
		t.Fatal("audio alone isn't on our own stack")
	}
	wider := func() []byte {
		body := string(c.sdp("actpass", "m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:b", "a=rtcp-mux", "a=rtpmap:96 VP8/90000",
			"a=ice-ufrag:"+c.mine.ufrag, "a=ice-pwd:"+c.mine.pwd, "a=fingerprint:"+c.print, "a=setup:actpass"))
		return []byte(strings.Replace(body, "BUNDLE a", "BUNDLE a b", 1))
	}
	answer := func() media.Pending {
		return must[media.Pending](t)(l.Answer(context.Background(), wider(), media.Want{}))
	}
	refused := func(body []byte) bool { return strings.Contains(string(body), "m=video 0 ") }
	p := answer()
	if !refused(p.SDP()) || !strings.Contains(string(p.SDP()), l.ident.fingerprint) {
		t.Errorf("without a restart video isn't refused\n%s", p.SDP())
	}
	p.Rollback()
	c.mine = credentials{token(8), token(24)}
	ident, behind := l.ident, l.transport
	p = answer()
	if refused(p.SDP()) || strings.Contains(string(p.SDP()), ident.fingerprint) || strings.Contains(string(p.SDP()), "a=ice-lite") {
		t.Errorf("the restart is answered by\n%s", p.SDP())
	}
	p.Rollback()
	if l.ident != ident || l.transport != behind || l.agreed.Load().line != first || port.credentials() != 1 {
		t.Errorf("the answer that was taken back left %d credentials, or another certificate or line", port.credentials())
	}
	p = answer()
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	second, ok := l.agreed.Load().line.(*pionLine)
	if s := l.agreed.Load().deal.scene; !ok || s == nil || s.picture == nil || s.data != nil {
		t.Fatalf("the line is a %T, its scene %+v", l.agreed.Load().line, s)
	}
	if n := port.credentials(); n != 1 {
		t.Errorf("the port knows %d credentials, want 1", n)
	}
	p = answer() // nothing new any more
	if err := p.Commit(); err != nil || l.agreed.Load().line != second || refused(p.SDP()) {
		t.Errorf("the next answer has another line, or no video: %v\n%s", err, p.SDP())
	}
}
