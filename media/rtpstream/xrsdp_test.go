package rtpstream

import (
	"testing"

	"github.com/patchbay/patchbay/media/sdp"
)

// Who asks for VoIP metrics, at either level of SDP, and who doesn't.
func TestAsking(t *testing.T) {
	const head, line = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n", "m=audio 4000 RTP/AVP 0\r\n"
	for body, want := range map[string][2]bool{
		head + line: {false, false},
		head + line + "a=rtcp-xr:voip-metrics\r\n":                                                           {true, true},
		head + line + "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n":         {true, true},
		head + line + "a=rtcp-xr:pkt-loss-rle=40\r\n":                                                        {true, false},
		head + line + "a=rtcp-xr\r\n":                                                                        {true, false},
		head + "a=rtcp-xr:VoIP-Metrics\r\n" + line:                                                           {true, true},
		head + "a=rtcp-xr:voip-metrics\r\n" + line + "a=rtcp-xr:stat-summary\r\n":                            {true, false},
		head + line + "a=rtcp-xr:my-voip-metrics\r\n" + "m=video 0 RTP/AVP 96\r\na=rtcp-xr:voip-metrics\r\n": {true, false},
	} {
		d, err := sdp.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{KnowsXR(d.Audio()), WantsMetrics(d.Audio())}; got != want {
			t.Errorf("%q: says so and wants metrics: %v, expected %v", body, got, want)
		}
	}
	asked := &sdp.Media{Attributes: []sdp.Attribute{AskXR()}}
	if !WantsMetrics(asked) {
		t.Errorf("%+v doesn't ask", asked)
	}
}
