package gateway

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/opus"
)

// Opus that goes on to a telephone is asked for as narrow as one; what may be relayed isn't.
func TestOpusIsAsWideAsIsHeard(t *testing.T) {
	telephone, browser := []*media.Format{media.PCMU(), media.TelephoneEvent(8000)}, []*media.Format{media.PCMU(), opus.Format()}
	for _, c := range []struct {
		name  string
		party party
		other []*media.Format
		want  string
	}{
		{"browser to telephone", party{codecs: []string{"opus", "pcmu"}, browser: true}, telephone, opus.NarrowParams},
		{"phone to telephone", party{codecs: []string{"opus", "pcmu"}}, telephone, opus.NarrowParams},
		{"browser to browser", party{codecs: []string{"opus"}, browser: true}, browser, ""},
		{"nobody known yet", party{codecs: []string{"opus"}, browser: true}, nil, ""},
	} {
		list := c.party.order(c.other)
		if len(list) == 0 || list[0].Codec != "OPUS" || list[0].Params != c.want {
			t.Errorf("%s: %v, expected Opus with %q", c.name, list, c.want)
		}
	}
}
