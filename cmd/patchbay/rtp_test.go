package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/rpc"
)

// A client's RtpEndpoints take ports of media.ports on the media address, offer all codecs with media.codecs first, and give
// the ports back. There is no IPv6 without a media address of that family.
func TestRtpEndpointsOfClients(t *testing.T) {
	r := startServer(t)
	client := r.space.Tenant("default")
	create := func(class, params string) *rpc.Object {
		t.Helper()
		o, err := client.New(t.Context(), class, []byte(params))
		if err != nil {
			t.Fatalf("create %s: %v", class, err)
		}
		return o
	}
	ask := func(o *rpc.Object, op, name, value string) string {
		t.Helper()
		params, err := json.Marshal(map[string]string{name: value})
		if err != nil {
			t.Fatal(err)
		}
		b, err := client.Invoke(t.Context(), o.ID(), op, params)
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	pipe := create("MediaPipeline", "{}")
	owner := `{"mediaPipeline":"` + pipe.ID() + `"`
	a, b := create("RtpEndpoint", owner+`,"crypto":{"crypto":"AES_128_CM_HMAC_SHA1_80"}}`), create("RtpEndpoint", owner+`,"crypto":{"crypto":"AES_128_CM_HMAC_SHA1_80"}}`)
	_, ports, ok := r.gateway.MediaPorts(false)
	if !ok || ports.Stats().Used != 2 {
		t.Errorf("two endpoints have %d pairs of ports", ports.Stats().Used)
	}
	offer := ask(a, "generateOffer", "", "")
	d, err := sdp.Parse([]byte(offer))
	if err != nil {
		t.Fatal(err)
	}
	var codecs []string
	for _, f := range d.Audio().Formats {
		codecs = append(codecs, f.Codec)
	}
	if m := d.Audio(); m.Port < 31000 || m.Port > 31999 || m.Addr.String() != "127.0.0.1" || m.Proto != "RTP/SAVPF" ||
		strings.Join(codecs, " ") != "PCMU PCMA OPUS TELEPHONE-EVENT TELEPHONE-EVENT" {
		t.Errorf("offered %v in\n%s", codecs, offer)
	}
	if got := ask(a, "processAnswer", "answer", ask(b, "processOffer", "offer", offer)); got != offer {
		t.Errorf("processAnswer: %s", got)
	}
	if got := ask(b, "getConnectionState", "", ""); got != "CONNECTED" {
		t.Errorf("is %s", got)
	}
	if _, err := client.New(t.Context(), "RtpEndpoint", []byte(owner+`,"useIpv6":true}`)); rpc.Outside(err).Code != rpc.NotSupported {
		t.Errorf("over IPv6: %v", err)
	}
	client.Release(pipe.ID())
	if n := ports.Stats().Used; n != 0 {
		t.Errorf("%d pairs of ports are still taken", n)
	}
}

// Programs take four fifths of the media ports at most, and one tenant two while there are others; phone calls may have all. What
// is released can be taken again.
func TestProgramsLeaveRoomForCalls(t *testing.T) {
	r := startServer(t, func(c *Config) { c.Media.Ports = Ports{Min: 31000, Max: 31039} })
	_, ports, _ := r.gateway.MediaPorts(false)
	fillShares(t, r.space, "RtpEndpoint", 8, 16)
	// A call's pair: what programs are refused is there.
	free := ports.Stats().Free
	if free != 4 {
		t.Errorf("%d pairs are left, expected 4", free)
	}
	for i := range free {
		a, b, err := r.net.OpenPair(netip.MustParseAddr("127.0.0.1"), ports, idle{}, idle{})
		if err != nil {
			t.Fatalf("pair %d for a call: %v", i, err)
		}
		defer a.Close()
		defer b.Close()
	}
}

// idle takes packets and does nothing.
type idle struct{}

func (idle) Datagram([]byte, udp.Addr, int64) {}
func (idle) Tick(int64)                       {}

// fillShares makes endpoints until they are refused: one tenant is to have so many, and all together.
func fillShares(t *testing.T, space *rpc.Space, class string, one, all int) {
	t.Helper()
	made := map[string][]string{}
	fill := func(tenant string) {
		t.Helper()
		s := space.Tenant(tenant)
		pipe, err := s.New(t.Context(), "MediaPipeline", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * all {
			o, err := s.New(t.Context(), class, []byte(`{"mediaPipeline":"`+pipe.ID()+`"}`))
			if err != nil {
				if out := rpc.Outside(err); out.Code != rpc.NotEnoughResources || !strings.Contains(out.Message, "kept for") {
					t.Errorf("%s too many: %v", class, err)
				}
				return
			}
			made[tenant] = append(made[tenant], o.ID())
		}
	}
	count := func() int { return len(made["default"]) + len(made["books"]) + len(made["third"]) }
	if fill("default"); count() != one {
		t.Errorf("%s: a tenant has %d, expected %d", class, count(), one)
	}
	fill("books")
	if fill("third"); count() != all || len(made["third"]) != 0 {
		t.Errorf("%s: tenants have %d, one of them %d; expected %d and none", class, count(), len(made["third"]), all)
	}
	space.Tenant("books").Release(made["books"][0])
	before := len(made["books"])
	if fill("books"); len(made["books"]) != before+1 {
		t.Errorf("%s: %d were made after one was released, expected 1", class, len(made["books"])-before)
	}
}
