package gateway

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// through makes a gateway that hands the carrier's calls to the second one.
func through(t *testing.T, change func(*settings)) *bench {
	return newBench(t, func(s *settings) {
		s.Routes = append([]Route{{ID: "through", Tenant: "default", Source: []string{"trunk:carrier"}, Number: []string{"*"}, Hops: []Hop{{Trunk: "second"}}}}, s.Routes...)
		if change != nil {
			change(s)
		}
	})
}

// Header fields go through by the lists of both trunks, in the INVITE and in what answers and ends it.
func TestHeadersGoThroughByList(t *testing.T) {
	t.Parallel()
	b := through(t, func(s *settings) {
		s.Trunks[0].Headers = HeaderPolicy{In: Names{"X-*", "User-to-User", "Alert-Info"}, Out: Names{"User-to-User", "X-Bill"}}
		s.Trunks[1].Headers = HeaderPolicy{In: Names{"X-*", "user-to-user"}, Out: Names{"x-order*", "User-to-User"}}
	})
	a := b.from(b.carrier, "4930101", nil, header("X-Order-Id", "7"), header("X-Secret", "s"), header("User-to-User", "56a390f3d2b7310023a2;encoding=hex"), header("Alert-Info", "<urn:alert:tone:internal>"),
		header("Identity", "abc"), header("History-Info", "<sip:a@b>;index=1"), header("P-Charging-Vector", "icid-value=x"), header("X-Order-Big", strings.Repeat("x", 1025)))
	c := b.second.Incoming()
	h := c.Request().Headers
	for name, want := range map[string]string{"X-Order-Id": "7", "User-to-User": "56a390f3d2b7310023a2;encoding=hex", "X-Secret": "", "Alert-Info": "", "Identity": "", "History-Info": "", "P-Charging-Vector": "", "X-Order-Big": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("INVITE: %s is %q, expected %q", name, got, want)
		}
	}
	if err := c.Progress(180, "", nil, header("X-Bill", "free"), header("X-Other", "no")); err != nil {
		t.Fatal(err)
	}
	if e := a.Wait(sip.KindProgress); e.Headers.Get("X-Bill") != "free" || e.Headers.Has("X-Other") {
		t.Errorf("180: %v", e.Headers)
	}
	if err := c.Answer([]byte(siptest.SDP), header("User-to-User", "a1;encoding=hex")); err != nil {
		t.Fatal(err)
	}
	if e := a.Wait(sip.KindAnswered); e.Headers.Get("User-to-User") != "a1;encoding=hex" || e.Headers.Has("X-Bill") {
		t.Errorf("200: %v", e.Headers)
	}
	c.Wait(sip.KindAcked)
	if err := a.Hangup(t.Context(), sip.Reason{}, 0, header("User-to-User", "b2;encoding=hex"), header("X-Secret", "s")); err != nil {
		t.Fatal(err)
	}
	if e := c.Wait(sip.KindEnded); e.Headers.Get("User-to-User") != "b2;encoding=hex" || e.Headers.Has("X-Secret") {
		t.Errorf("BYE: %v", e.Headers)
	}
	b.ends(call.Caller, 16, 200)
	a = b.from(b.carrier, "4930101", nil)
	if err := b.second.Incoming().Reject(486, "", header("User-to-User", "c3;encoding=hex")); err != nil {
		t.Fatal(err)
	}
	if e := refused(t, a, 486); e.Headers.Get("User-to-User") != "c3;encoding=hex" {
		t.Errorf("486: %v", e.Headers)
	}
	b.idle()
}

func TestHeadersThatMayGoThrough(t *testing.T) {
	for name, want := range map[string]bool{"X-Order": true, "x-*": true, "User-to-User": true, "Alert-Info": true, "X-Patchbay-Path": false, "Via": false, "*": false, "": false,
		"P-Asserted-Identity": false, "Privacy": false, "Diversion": false, "Record-Route": false, "Reason": false, "X-a b": false, "X-a\r\nVia": false} {
		if Carriable(name) != want {
			t.Errorf("%q: %v, expected %v", name, !want, want)
		}
	}
}

// Diversions are read in either form and written in either (RFC 7544), counted, and hidden from who isn't trusted.
func TestDiversionsAreMapped(t *testing.T) {
	t.Parallel()
	const history = `<sip:+4930111@carrier.test>;index=1, <sip:+4930222@carrier.test;cause=302>;index=1.1;mp=1, <sip:4930101@carrier.test;cause=486>;index=1.1.1;mp=1.1`
	const diversion = `<sip:+4930222@carrier.test>;reason=user-busy, "First" <sip:+4930111@carrier.test>;reason=unconditional;privacy=off`
	for _, x := range []struct {
		name   string
		change func(in, out *Trunk)
		header sip.Header
		want   []string
	}{
		{"History-Info to Diversion", func(_, out *Trunk) { out.Headers.Diversion = []string{"diversion"} }, header("History-Info", history),
			[]string{`Diversion: <sip:+4930222@second.test>;reason=user-busy`, `Diversion: <sip:+4930111@second.test>;reason=unconditional`}},
		{"Diversion to History-Info", func(_, out *Trunk) { out.Headers.Diversion = []string{"history-info"} }, header("Diversion", diversion),
			[]string{`History-Info: "First" <sip:+4930111@second.test>;index=1`, `History-Info: <sip:+4930222@second.test;cause=302>;index=1.1;mp=1`, `History-Info: <sip:4930101@second.test;cause=486>;index=1.1.1;mp=1.1`}},
		{"both", func(_, out *Trunk) { out.Headers.Diversion = []string{"diversion", "history-info"} }, header("Diversion", "<tel:+4930222>;reason=odd"),
			[]string{`Diversion: <sip:+4930222@second.test>;reason=odd`, `History-Info: <sip:+4930222@second.test>;index=1`, `History-Info: <sip:4930101@second.test;cause=404>;index=1.1;mp=1`}},
		{"none", nil, header("Diversion", diversion), nil},
		{"from who isn't trusted", func(in, out *Trunk) { in.Trusted, out.Headers.Diversion = false, []string{"diversion"} }, header("Diversion", diversion), nil},
		{"private, to who isn't trusted", func(_, out *Trunk) { out.Trusted, out.Headers.Diversion = false, []string{"diversion", "history-info"} }, header("Diversion", "<sip:+4930222@c>;privacy=full;counter=3"),
			[]string{`Diversion: "Anonymous" <sip:anonymous@anonymous.invalid>;reason=unknown;counter=3;privacy=full`, `History-Info: "Anonymous" <sip:anonymous@anonymous.invalid?Privacy=history>;index=1`, `History-Info: <sip:4930101@second.test;cause=404>;index=1.1;mp=1`}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			b := through(t, func(s *settings) {
				if x.change != nil {
					x.change(&s.Trunks[0], &s.Trunks[1])
				}
			})
			a := b.from(b.carrier, "4930101", nil, x.header)
			c := b.second.Incoming()
			var got []string
			for _, h := range c.Request().Headers {
				if h.Name == "Diversion" || h.Name == "History-Info" {
					got = append(got, h.Name+": "+h.Value)
				}
			}
			if strings.Join(got, "\n") != strings.Join(x.want, "\n") {
				t.Errorf("it has\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(x.want, "\n"))
			}
			if rec := b.finish(a, c); len(x.want) > 0 && strings.HasPrefix(x.want[0], "Diversion: ") && rec.Legs[1].Diversion == "" {
				t.Error("the record has no diversion")
			}
		})
	}
}

// Calls that go round end: by Max-Forwards, by the mark that we left, by their diversions.
func TestCallsThatGoRoundEnd(t *testing.T) {
	t.Parallel()
	b := through(t, func(s *settings) { s.Limits.Hops = 30 })
	dial := func(number string, hops int, h ...sip.Header) *siptest.Call {
		return b.carrier.DialInvite(sip.Invite{Target: b.carrier.AOR(number), From: sip.NameAddr{URI: b.carrier.AOR("4930777")}, Contact: "carrier", MaxForwards: hops,
			Destination: sip.Destination{Network: "udp", Addr: b.addr}, Headers: h, Body: []byte(siptest.SDP)})
	}
	a := dial("4930101", 12)
	c := b.second.Incoming()
	if got := c.Request().Headers.Get("Max-Forwards"); got != "11" {
		t.Errorf("Max-Forwards is %s, expected 11", got)
	}
	mark := c.Request().Headers.Get("X-Patchbay-Path")
	b.finish(a, c)
	refused(t, dial("4930101", 12, header("X-Patchbay-Path", mark)), 482)
	b.ends(call.System, 25, 482)
	// The same mark at another number is a call that came back for somebody else.
	a = dial("4930102", 0, header("X-Patchbay-Path", "0123456789ab.cdef, "+mark))
	c = b.second.Incoming()
	if got := c.Request().Headers; got.Get("Max-Forwards") != "30" || !strings.HasPrefix(got.Get("X-Patchbay-Path"), "0123456789ab.cdef, "+mark+", ") {
		t.Errorf("it has %v", got)
	}
	b.finish(a, c)
	refused(t, dial("4930103", 0, header("X-Patchbay-Path", strings.Repeat(mark+",", 6))), 482)
	refused(t, dial("4930101", 1), 483)
	b.ends(call.System, 25, 483)
	refused(t, dial("4930101", 9, header("Diversion", "<sip:1@c>;counter=6")), 482)
	if rec := b.ends(call.System, 25, 482); !b.noted(rec.ID, "diverted 6 times: expected at most 5") {
		t.Error("the record doesn't say why")
	}
	b.idle()
}

// A side whose media is to pass through isn't joined with one that shares no codec with it, and gets what it shares.
func TestMediaThatMayNotBeConverted(t *testing.T) {
	t.Parallel()
	b := through(t, func(s *settings) {
		s.Trunks[0].Codecs, s.Trunks[1].Codecs = []string{"PCMA"}, []string{"PCMU"}
		s.Trunks[1].Passing = true
	})
	e := refused(t, b.from(b.carrier, "4930101", nil), 488)
	if w := e.Headers.Get("Warning"); !strings.HasPrefix(w, `305 home.test "no codec in common; this side takes PCMU, and media may not be converted`) {
		t.Errorf("Warning %q", w)
	}
	b.ends(call.System, 88, 488)
	b.idle()

	b = through(t, func(s *settings) { s.Trunks[0].Passing = true })
	onlyPCMU := strings.Replace(siptest.SDP, "8 0 101", "0 101", 1)
	a := b.from(b.carrier, "4930101", []byte(onlyPCMU))
	c := b.second.Incoming()
	if sdp := string(c.Request().Body); strings.Contains(sdp, "PCMA") || !strings.Contains(sdp, "PCMU") || !strings.Contains(sdp, "telephone-event") {
		t.Errorf("the callee is offered %s", sdp)
	}
	b.finish(a, c)
	// Both are offered, the callee takes the second: the caller gets that one.
	a = b.from(b.carrier, "4930101", nil)
	c = b.up(a, b.second, []byte(onlyPCMU))
	c.Bye()
	if rec := b.ends(call.Callee, 16, 200); rec.Transcoded || rec.Legs[0].Media.Codec != "PCMU/8000" || rec.Legs[1].Media.Codec != "PCMU/8000" {
		t.Errorf("media %+v, %+v", rec.Legs[0].Media, rec.Legs[1].Media)
	}
	b.idle()
}

// A user's forwarding is told to the carrier that the call goes to, with the user's number where an extension was dialled.
func TestForwardingIsToldToTheCarrier(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Users[1].Forward.Offline, s.Users[1].CallerID = "9777", "+4930123402"
		s.Trunks[0].Headers.Diversion = []string{"diversion", "history-info"}
	})
	a := b.from(b.phone("alice"), "101", nil)
	c := b.carrier.Incoming()
	h := c.Request().Headers
	if got := h.Get("Diversion"); got != "<sip:+4930123402@carrier.test>;reason=unavailable" {
		t.Errorf("Diversion: %s", got)
	}
	if got := h.Lines("History-Info"); len(got) != 2 || got[0] != "<sip:+4930123402@carrier.test>;index=1" || got[1] != "<sip:49777@carrier.test;cause=503>;index=1.1;mp=1" {
		t.Errorf("History-Info: %q", got)
	}
	b.finish(a, c)
}
