package gateway

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

const pidf = `<?xml version="1.0" encoding="UTF-8"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:alice@home.test"/>`

// Where somebody calls for help is told to who helps, in header fields and body, though no list lets them through; of other calls it isn't.
func TestEmergencyTellsTheLocation(t *testing.T) {
	t.Parallel()
	for _, help := range []bool{true, false} {
		b := newBench(t, func(s *settings) {
			s.Emergency = Emergency{Numbers: []string{"112"}, Hops: []Hop{{Trunk: "carrier"}}}
		})
		alice := b.phone("alice")
		target := sip.URI{Scheme: "urn", Opaque: "service:sos.fire"}
		if !help {
			target = alice.AOR("9123")
		}
		a := alice.DialInvite(sip.Invite{Target: target, From: sip.NameAddr{URI: alice.AOR("100")}, Contact: alice.UA.Name(), Destination: sip.Destination{Network: "udp", Addr: b.addr},
			Headers: []sip.Header{{Name: "Geolocation", Value: "<cid:here@phone.test>"}, {Name: "Geolocation-Routing", Value: "yes"}}, Body: []byte(siptest.SDP),
			Location: &sip.Location{ID: "here@phone.test", Body: []byte(pidf)}})
		c := b.carrier.Incoming()
		r := c.Request()
		if !strings.HasPrefix(string(r.Body), "v=0\r\n") || r.ContentType != "application/sdp" {
			t.Errorf("the offer is %s\n%s", r.ContentType, r.Body)
		}
		if at := r.Location; help != (at != nil) || help && (at.ID != "here@phone.test" || string(at.Body) != pidf) ||
			help != (r.Headers.Get("Geolocation") == "<cid:here@phone.test>") || help != (r.Headers.Get("Geolocation-Routing") == "yes") {
			t.Errorf("help %v: location %+v, Geolocation %q, Geolocation-Routing %q", help, at, r.Headers.Get("Geolocation"), r.Headers.Get("Geolocation-Routing"))
		}
		c.Accept()
		a.Wait(sip.KindAnswered)
		a.Bye()
		c.Wait(sip.KindEnded)
		b.idle()
	}
}

// A call for help that nothing takes may be asked to go by another network.
func TestEmergencyAlternative(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Emergency = Emergency{Numbers: []string{"112"}, Alternative: true} })
	e := refused(t, b.from(b.phone("alice"), "112", nil), 380)
	if e.Content != "application/3gpp-ims+xml" || !strings.Contains(string(e.Body), "<alternative-service><type>emergency</type>") || !strings.Contains(e.Headers.Get("Warning"), "no emergency route") {
		t.Errorf("380 with %s, Warning %q\n%s", e.Content, e.Headers.Get("Warning"), e.Body)
	}
	b.ends(call.System, 38, 380)
}
