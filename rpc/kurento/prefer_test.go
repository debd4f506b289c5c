package kurento_test

import (
	"fmt"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// codecs are those of a description's audio, in its order.
func codecs(t testing.TB, body string) string {
	t.Helper()
	d, err := sdp.Parse([]byte(body))
	if err != nil || d.Audio() == nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	var out []string
	for _, f := range d.Audio().Formats {
		if !f.Event() {
			out = append(out, f.Codec)
		}
	}
	return fmt.Sprint(out)
}

const bothLaws = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVPF 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"

// What elements around an endpoint take, or would take, is negotiated first: media passes through.
func TestAroundComesFirst(t *testing.T) {
	const only = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVPF 8\r\na=rtpmap:8 PCMA/8000\r\n"
	r := newRTP(t, nil)
	settled, waiting, deaf := r.in("RtpEndpoint"), r.in("RtpEndpoint"), r.in("RtpEndpoint")
	r.text(settled, "processOffer", arg("offer", only))
	waiting.Value().(*kurento.RtpEndpoint).Prefer([]*media.Format{media.PCMA()})
	join := func(from, to *rpc.Object, kind string) {
		r.call(from, "connect", `{"sink":"`+to.ID()+`","mediaType":"`+kind+`"}`)
	}
	for name, c := range map[string]struct {
		connect func(*rpc.Object)
		want    string
	}{
		"alone":                {func(*rpc.Object) {}, "[PCMU PCMA]"},
		"with one that waits":  {func(e *rpc.Object) { join(e, deaf, "AUDIO") }, "[PCMU PCMA]"},
		"with video":           {func(e *rpc.Object) { join(e, waiting, "VIDEO") }, "[PCMU PCMA]"},
		"feeds one that hears": {func(e *rpc.Object) { join(e, settled, "AUDIO") }, "[PCMA PCMU]"},
		"is fed":               {func(e *rpc.Object) { join(settled, e, "AUDIO") }, "[PCMA PCMU]"},
		"feeds one that will":  {func(e *rpc.Object) { join(e, waiting, "AUDIO") }, "[PCMA PCMU]"},
		"through another": {func(e *rpc.Object) {
			pass := r.in("PassThrough")
			join(e, pass, "AUDIO")
			join(pass, waiting, "AUDIO")
		}, "[PCMA PCMU]"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, offers := range []bool{false, true} {
				e := r.in("RtpEndpoint")
				c.connect(e)
				var got string
				if offers {
					got = codecs(t, r.text(e, "generateOffer", ""))
				} else {
					got = codecs(t, r.text(e, "processOffer", arg("offer", bothLaws)))
				}
				if got != c.want {
					t.Errorf("we negotiate %s (offering: %t), expected %s", got, offers, c.want)
				}
				r.a.Release(e.ID())
			}
		})
	}
}
