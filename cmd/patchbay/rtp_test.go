package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/media/sdp"
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
