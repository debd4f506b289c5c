package kurento_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/meter"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// sound and gauge are elements that make a tone and that measure one.
type sound struct {
	kurento.Element
	tone *tone.Tone
}

func (s *sound) Close() error { _ = s.Element.Close(); return s.tone.Close() }

type gauge struct {
	kurento.Element
	meter *meter.Meter
}

func (g *gauge) Close() error { _ = g.Element.Close(); return g.meter.Close() }

func instruments(c *rpc.Classes, k *kurento.Core) {
	c.Register(&rpc.Class{Module: "test", Name: "Sound", Extends: k.MediaElement, Parent: k.Pipeline,
		New: rpc.Make(func(self *rpc.Object, p *kurento.Pipeline, hz float64) (*sound, error) {
			t, err := tone.New(tone.Config{Sound: tone.Sound{Sines: []tone.Sine{{Hz: hz, Level: -10}}}, Clock: p.Media().Clock(), Registry: p.Media().Registry()})
			if err != nil {
				return nil, err
			}
			s := &sound{tone: t}
			s.Init(self, p, t)
			t.Start()
			return s, nil
		}, rpc.Arg("mediaPipeline"), rpc.Arg("hz"))})
	c.Register(&rpc.Class{Module: "test", Name: "Gauge", Extends: k.MediaElement, Parent: k.Pipeline,
		New: rpc.Make(func(self *rpc.Object, p *kurento.Pipeline, hz float64) (*gauge, error) {
			m, err := meter.New(meter.Config{Frequencies: []float64{hz}})
			if err != nil {
				return nil, err
			}
			g := &gauge{meter: m}
			g.Init(self, p, m)
			return g, nil
		}, rpc.Arg("mediaPipeline"), rpc.Arg("hz"))})
}

// newRTP is a rig with RtpEndpoints on real sockets of this host. notice sees what each endpoint is made with.
func newRTP(t *testing.T, notice func(kurento.RTPOptions)) *rig {
	t.Helper()
	n, err := udp.New(udp.Config{Loops: 1, Tick: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 21000, Max: 60000, Hold: -1})
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, kurento.Config{RTP: func(o kurento.RTPOptions) (kurento.RTP, error) {
		if notice != nil {
			notice(o)
		}
		cfg := rtp.Config{Net: n, Ports: ports, Bind: netip.MustParseAddr("127.0.0.1"), Registry: o.Pipeline.Registry(),
			Notify: o.Notify, Name: o.Name, Feedback: true, Comedia: true, Timeout: 500 * time.Millisecond}
		if o.Suite != "" {
			cfg.Key = &rtp.Key{Suite: o.Suite, Key: o.Key}
		}
		return rtp.New(cfg)
	}}, instruments)
}

// with makes an object in the pipeline, with further parameters.
func (r *rig) with(class, params string) *rpc.Object {
	r.Helper()
	return r.make(class, `{"mediaPipeline":"`+r.pipe.ID()+`",`+params+`}`)
}

// text invokes an operation that returns a string.
func (r *rig) text(o *rpc.Object, op, params string) string {
	r.Helper()
	var s string
	if err := json.Unmarshal([]byte(r.call(o, op, params)), &s); err != nil {
		r.Fatal(err)
	}
	return s
}

// arg writes a JSON object of one string.
func arg(name, value string) string {
	b, _ := json.Marshal(map[string]string{name: value})
	return string(b)
}

// talk connects a tone to an endpoint, and a meter to another, and returns how loud it comes.
func (r *rig) talk(from, to *rpc.Object, hz int) {
	r.Helper()
	n := strconv.Itoa(hz)
	s, g := r.with("Sound", `"hz":`+n), r.with("Gauge", `"hz":`+n)
	r.call(s, "connect", `{"sink":"`+from.ID()+`"}`)
	r.call(to, "connect", `{"sink":"`+g.ID()+`"}`)
	var got meter.Reading
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		got = g.Value().(*gauge).meter.Read()
		if got.Time > 500*time.Millisecond && got.Tones[0].Last > -10.5 && got.Tones[0].Last < -9.5 {
			r.a.Release(s.ID())
			r.a.Release(g.ID())
			return
		}
	}
	r.Fatalf("%d Hz at -10 dBm0 came as %+v", hz, got)
}

func names(events []map[string]any) string {
	var out []string
	for _, e := range events {
		s := fmt.Sprint(e["event"])
		if e["newState"] != nil {
			s += fmt.Sprintf(" %v>%v", e["oldState"], e["newState"])
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// Two endpoints call each other: a tone goes both ways, in the clear and under keys, and all is told and counted.
func TestRtpEndpoints(t *testing.T) {
	for name, crypto := range map[string][2]string{
		"plain":       {`{}`, `{}`},
		"drawn key":   {`{"crypto":"AES_128_CM_HMAC_SHA1_80"}`, `{"crypto":"AES_128_CM_HMAC_SHA1_80"}`},
		"given keys":  {`{"crypto":"AES_128_CM_HMAC_SHA1_32","key":"` + strings.Repeat("k", 30) + `"}`, `{"crypto":"AES_128_CM_HMAC_SHA1_32","keyBase64":"MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0"}`},
		"256 bits":    {`{"crypto":"AES_256_CM_HMAC_SHA1_80","key":"` + strings.Repeat("k", 46) + `"}`, `{"crypto":"AES_256_CM_HMAC_SHA1_80"}`},
		"256 bits/32": {`{"crypto":"AES_256_CM_HMAC_SHA1_32"}`, `{"crypto":"AES_256_CM_HMAC_SHA1_32"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRTP(t, nil)
			a, b := r.with("RtpEndpoint", `"crypto":`+crypto[0]), r.with("kurento.RtpEndpoint", `"crypto":`+crypto[1])
			e := r.listen(a, "MediaSessionStarted", "ConnectionStateChanged", "MediaStateChanged", "MediaSessionTerminated")
			r.talks(a, b, crypto[0] == "{}")
			want := []string{"ConnectionStateChanged DISCONNECTED>CONNECTED", "MediaSessionStarted", "MediaStateChanged DISCONNECTED>CONNECTED"}
			if got := names(e.wait(t, 3)); got != strings.Join(want, ", ") {
				t.Errorf("told %s", got)
			}
			if got := r.text(a, "getMediaState", "") + r.text(a, "getConnectionState", ""); got != "CONNECTEDCONNECTED" {
				t.Errorf("is %s", got)
			}
			if name != "plain" {
				return
			}
			r.a.Release(b.ID()) // says RTCP BYE
			if got := names(e.wait(t, 1)); got != "MediaStateChanged CONNECTED>DISCONNECTED" {
				t.Errorf("told %s when the peer left", got)
			}
			r.a.Release(a.ID())
			if got := names(e.take()); got != "" {
				t.Errorf("told %s at the release", got)
			}
		})
	}
}

// talks negotiates and measures.
func (r *rig) talks(a, b *rpc.Object, plain bool) {
	r.Helper()
	offer := r.text(a, "generateOffer", "")
	answer := r.text(b, "processOffer", arg("offer", offer))
	if got := r.text(a, "processAnswer", arg("answer", answer)); got != offer {
		r.Errorf("processAnswer returns\n%s, want\n%s", got, offer)
	}
	proto := "RTP/AVPF"
	if !plain {
		proto = "RTP/SAVPF"
	}
	for _, body := range []string{offer, answer} {
		d, err := sdp.Parse([]byte(body))
		if err != nil {
			r.Fatal(err)
		}
		if m := d.Audio(); m == nil || m.Proto != proto || m.Port%2 != 0 || m.Mux || len(d.Media) != 2 || d.Media[1].Kind != "video" || d.Media[1].Port != 0 || (len(m.Crypto) == 1) == plain {
			r.Errorf("description\n%s", body)
		}
	}
	for _, c := range []struct {
		o    *rpc.Object
		op   string
		want string
	}{{a, "getLocalSessionDescriptor", offer}, {a, "getRemoteSessionDescriptor", answer}, {b, "getLocalSessionDescriptor", answer}, {b, "getRemoteSessionDescriptor", offer}} {
		if got := r.text(c.o, c.op, ""); got != c.want {
			r.Errorf("%s: %s", c.op, got)
		}
	}
	r.talk(a, b, 1020)
	r.talk(b, a, 440)
	r.counted(a, b)
}

// counted compares what two endpoints counted of each other.
func (r *rig) counted(a, b *rpc.Object) {
	r.Helper()
	streams := func(o *rpc.Object, params string) (in, out, own map[string]any) {
		r.Helper()
		var m map[string]map[string]any
		if err := json.Unmarshal([]byte(r.call(o, "getStats", params)), &m); err != nil {
			r.Fatal(err)
		}
		for id, s := range m {
			if s["id"] != id || s["__module__"] != "kurento" {
				r.Errorf("%s is %v", id, s)
			}
			switch s["__type__"] {
			case "RTCInboundRTPStreamStats":
				in = s
			case "RTCOutboundRTPStreamStats":
				out = s
			case "EndpointStats":
				own = s
			default:
				r.Errorf("statistics %v", s)
			}
		}
		return in, out, own
	}
	_, out, own := streams(a, `{"mediaType":"AUDIO"}`)
	in, _, _ := streams(b, "")
	if own["type"] != "endpoint" || in["type"] != "inboundrtp" || out["type"] != "outboundrtp" {
		r.Fatalf("%v\n%v\n%v", own, in, out)
	}
	packets, bytes := in["packetsReceived"].(float64), in["bytesReceived"].(float64)
	if in["ssrc"] != out["ssrc"] || in["ssrc"] == "" || packets < 25 || bytes != packets*160 || in["packetsLost"].(float64) != 0 || in["jitter"].(float64) > 1 {
		r.Errorf("received %v\nof %v", in, out)
	}
	if sent := out["packetsSent"].(float64); sent < packets-1 || out["bytesSent"].(float64) != sent*160 {
		r.Errorf("sent %v, received %v", out, in)
	}
	if in, out, own := streams(a, `{"mediaType":"VIDEO"}`); in != nil || out != nil || own == nil {
		r.Errorf("statistics of video: %v %v %v", in, out, own)
	}
}

// What is asked at the wrong time, or of the wrong kind.
func TestSdpErrors(t *testing.T) {
	r := newRTP(t, nil)
	a, b, c := r.in("RtpEndpoint"), r.in("RtpEndpoint"), r.in("RtpEndpoint")
	r.refused(rpc.NoLocalSDP, a, "getLocalSessionDescriptor", "")
	r.refused(rpc.NoRemoteSDP, a, "getRemoteSessionDescriptor", "")
	r.refused(rpc.NoOffer, a, "processAnswer", arg("answer", "v=0"))
	if got := r.refused(rpc.SDPParse, a, "processOffer", arg("offer", "")); got != "Empty offer not valid" {
		t.Errorf("says %q", got)
	}
	r.refused(rpc.SDPParse, a, "processOffer", arg("offer", "this is no SDP"))
	r.refused(rpc.ProcessOffer, a, "processOffer", arg("offer", offer("c=IN IP4 224.0.0.1", "m=audio 4000 RTP/AVP 0")))
	r.refused(rpc.BadParam, a, "processOffer", "{}")
	r.refused(rpc.NotSupported, a, "requestKeyframe", "")
	r.refused(rpc.UnknownOperation, a, "setMediaState", `{"mediaState":"CONNECTED"}`)

	ours := r.text(a, "generateOffer", "") // what failed before left no trace
	r.refused(rpc.AlreadyNegotiated, a, "generateOffer", "")
	r.refused(rpc.AlreadyNegotiated, a, "processOffer", arg("offer", ours))
	r.refused(rpc.NoRemoteSDP, a, "getRemoteSessionDescriptor", "")
	answer := r.text(b, "processOffer", arg("offer", ours))
	r.refused(rpc.AlreadyNegotiated, b, "processOffer", arg("offer", ours))
	r.refused(rpc.AlreadyNegotiated, b, "generateOffer", "")
	r.refused(rpc.NoOffer, b, "processAnswer", arg("answer", answer))
	r.refused(rpc.SDPParse, a, "processAnswer", arg("answer", ""))
	r.refused(rpc.SDPParse, a, "processAnswer", arg("answer", "this is no SDP"))
	r.refused(rpc.ProcessAnswer, a, "processAnswer", arg("answer", offer("c=IN IP4 127.0.0.1", "m=audio 4000 RTP/AVPF 0")))
	r.text(a, "processAnswer", arg("answer", answer))
	r.refused(rpc.AnswerProcessed, a, "processAnswer", arg("answer", answer))

	for _, p := range []string{"maxAudioRecvBandwidth", "maxVideoRecvBandwidth", "minVideoRecvBandwidth", "minVideoSendBandwidth", "maxVideoSendBandwidth", "mtu"} {
		set, get := "set"+strings.ToUpper(p[:1])+p[1:], "get"+strings.ToUpper(p[:1])+p[1:]
		want := map[string]string{"minVideoSendBandwidth": "100", "maxVideoSendBandwidth": "500", "mtu": "1200"}[p]
		if got := r.call(c, get, ""); got != want && (want != "" || got != "0") {
			t.Errorf("%s = %s at first", get, got)
		}
		r.call(c, set, `{"`+p+`":640}`)
		if got := r.call(c, get, ""); got != "640" {
			t.Errorf("%s = %s, want 640", get, got)
		}
		r.refused(rpc.IllegalParam, c, set, `{"`+p+`":-1}`)
	}
	if got := r.text(c, "generateOffer", ""); !strings.Contains(got, "b=AS:640\r\n") {
		t.Errorf("the bandwidth isn't in\n%s", got)
	}
	var remb map[string]any
	if err := json.Unmarshal([]byte(r.call(c, "getRembParams", "")), &remb); err != nil || remb["rembOnConnect"] != 300000.0 || remb["upLosses"] != 12.0 {
		t.Errorf("rembParams %v", remb)
	}
	r.call(c, "setRembParams", `{"rembParams":{"upLosses":7}}`)
	if got := r.call(c, "getRembParams", ""); !strings.Contains(got, `"upLosses":7`) {
		t.Errorf("rembParams %s", got)
	}
}

func offer(lines ...string) string {
	return strings.Join(append([]string{"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"}, lines...), "\r\n") + "\r\n"
}

// Offers that have nothing for us are answered, line by line, with port 0.
func TestLenientOffers(t *testing.T) {
	for name, c := range map[string]struct {
		offer string
		want  []string // kind and whether it is taken
	}{
		"video alone, b= behind a=": {offer("c=IN IP4 127.0.0.1", "m=video 52126 RTP/AVP 96 97", "a=rtpmap:96 VP8/90000", "a=sendonly", "b=AS:384"), []string{"video 0"}},
		"no codec":                  {offer("c=IN IP4 127.0.0.1", "m=audio 4000 RTP/AVP 18", "a=sendrecv"), []string{"audio 0"}},
		"DTLS":                      {offer("c=IN IP4 127.0.0.1", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=sendrecv"), []string{"audio 0"}},
		"refused already":           {offer("c=IN IP4 127.0.0.1", "m=audio 0 RTP/AVP 0"), []string{"audio 0"}},
		"video first":               {offer("c=IN IP4 127.0.0.1", "m=video 5000 RTP/AVP 96", "m=audio 4000 RTP/AVP 0 8", "m=audio 4002 RTP/AVP 0"), []string{"video 0", "audio 1", "audio 0"}},
	} {
		r := newRTP(t, nil)
		e := r.in("RtpEndpoint")
		ear := r.listen(e, "MediaSessionStarted")
		answer := r.text(e, "processOffer", arg("offer", c.offer))
		d, err := sdp.Parse([]byte(answer))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range d.Media {
			got = append(got, fmt.Sprint(m.Kind, " ", min(m.Port, 1)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		ear.wait(t, 1)
		r.refused(rpc.AlreadyNegotiated, e, "generateOffer", "")
	}
}

// What an offer has, and an answer that refuses it.
func TestOfferOptions(t *testing.T) {
	for _, c := range []struct {
		options string
		want    []string
	}{
		{"", []string{"audio 1", "video 0"}},
		{`{"options":{}}`, []string{"audio 1", "video 0"}},
		{`{"options":{"offerToReceiveVideo":false}}`, []string{"audio 1"}},
		{`{"options":{"offerToReceiveAudio":false}}`, []string{"video 0"}},
	} {
		r := newRTP(t, nil)
		e := r.in("RtpEndpoint")
		ours := r.text(e, "generateOffer", c.options)
		d, err := sdp.Parse([]byte(ours))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range d.Media {
			got = append(got, fmt.Sprint(m.Kind, " ", min(m.Port, 1)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.options, got, c.want)
		}
		refusal, err := sdp.Decline(d).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := r.text(e, "processAnswer", arg("answer", string(refusal))); got != ours {
			t.Errorf("%s: %s", c.options, got)
		}
		if got := r.text(e, "getConnectionState", ""); got != "DISCONNECTED" {
			t.Errorf("%s: is %s", c.options, got)
		}
	}
}

// Keys that don't fit are refused, and a server without sockets says so.
func TestRtpEndpointCrypto(t *testing.T) {
	var seen []kurento.RTPOptions
	r := newRTP(t, func(o kurento.RTPOptions) { seen = append(seen, o) })
	for _, c := range []string{
		`{"crypto":"AES_128_CM_HMAC_SHA1_80","key":"` + strings.Repeat("k", 46) + `"}`,
		`{"crypto":"AES_256_CM_HMAC_SHA1_80","key":"` + strings.Repeat("k", 30) + `"}`,
		`{"crypto":"AES_128_CM_HMAC_SHA1_80","keyBase64":"a2s="}`,
		`{"crypto":"AES_128_CM_HMAC_SHA1_80","keyBase64":"***"}`,
		`{"key":"` + strings.Repeat("k", 30) + `"}`,
	} {
		_, err := r.a.New(t.Context(), "RtpEndpoint", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`","crypto":`+c+`}`))
		if err == nil || rpc.Outside(err).Code != rpc.IllegalParam || strings.Contains(err.Error(), "kkk") {
			t.Errorf("%s: %v", c, err)
		}
	}
	if len(seen) != 0 {
		t.Errorf("endpoints were made: %d", len(seen))
	}
	e := r.with("RtpEndpoint", `"useIpv6":true`)
	if len(seen) != 1 || !seen[0].IPv6 || seen[0].Suite != "" {
		t.Errorf("made with %+v", seen)
	}
	if _, err := r.a.Subscribe(e.ID(), "OnKeySoftLimit", r.listen(e, "MediaStateChanged")); err != nil {
		t.Error(err)
	}
	bare := newRig(t, kurentoConfig())
	if _, err := bare.a.New(t.Context(), "RtpEndpoint", []byte(`{"mediaPipeline":"`+bare.pipe.ID()+`"}`)); rpc.Outside(err).Code != rpc.NotSupported {
		t.Errorf("without sockets: %v", err)
	}
}

// One more offer after another: what was agreed stands meanwhile, and the tone goes on.
func TestRenegotiate(t *testing.T) {
	r := newRTP(t, nil)
	a, b := r.in("RtpEndpoint"), r.in("RtpEndpoint")
	again := func(o *rpc.Object) error { return o.Value().(*kurento.RtpEndpoint).Renegotiate(false) }
	if err := again(a); rpc.Outside(err).Code != rpc.NoRemoteSDP {
		t.Errorf("before anything is agreed: %v", err)
	}
	r.talks(a, b, true)
	for _, o := range []*rpc.Object{a, b} {
		if err := again(o); err != nil {
			t.Fatal(err)
		}
	}
	ours := r.text(b, "generateOffer", "")
	r.talk(a, b, 700)
	r.text(b, "processAnswer", arg("answer", r.text(a, "processOffer", arg("offer", ours))))
	r.talk(a, b, 800)
	r.talk(b, a, 900)
}
