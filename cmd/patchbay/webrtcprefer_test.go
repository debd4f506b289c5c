package main

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// first is what a browser has agreed to send.
func (p *webPeer) first(want string) {
	p.Helper()
	if f := p.browser.Formats(); len(f) == 0 || f[0].Codec != want {
		p.Errorf("the browser speaks %v, expected %s first", f, want)
	}
}

// A browser that is connected to a telephone speaks as that does, whoever offers, before the telephone has a call; browsers
// among themselves speak Opus.
func TestBrowserSpeaksAsItsSinks(t *testing.T) {
	t.Parallel()
	r := newWebRig(t)
	join := func(a, b *rpc.Object) {
		for _, c := range [][2]*rpc.Object{{a, b}, {b, a}} {
			r.call(c[0], "connect", map[string]any{"sink": c[1].ID(), "mediaType": "AUDIO"})
		}
	}
	one, two := r.peer(webrtctest.Config{}, nil), r.peer(webrtctest.Config{}, nil)
	join(one.endpoint, two.endpoint)
	one.calls()
	one.first("OPUS")
	two.called()
	two.first("OPUS")

	phone := r.create("PassThrough", map[string]any{"mediaPipeline": r.pipe.ID()}) // any element can have a preference
	three, four := r.peer(webrtctest.Config{}, nil), r.peer(webrtctest.Config{}, nil)
	telephone := r.peer(webrtctest.Config{}, nil).endpoint
	telephone.Value().(*kurento.WebRtcEndpoint).Prefer([]*media.Format{media.PCMA(), media.PCMU()})
	join(three.endpoint, telephone)
	three.calls()
	three.first("PCMA")
	join(four.endpoint, phone)
	join(phone, telephone)
	four.called()
	four.first("PCMA")
	for _, p := range []*webPeer{one, two, three, four} {
		p.gathers()
	}
}
