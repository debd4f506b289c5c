package rtpstream

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/media/sdp"
)

// attributeXR is how SDP asks for extended reports (RFC 3611 5.1): who writes it wants the blocks that it names.
const attributeXR = "rtcp-xr"

// AskXR asks for the blocks that are taken: what a party measures of what it hears, and what it has counted. It is for offers, and for
// answers to who asks too (RFC 3611 5.2).
func AskXR() sdp.Attribute {
	return sdp.Attribute{Key: attributeXR, Value: "voip-metrics stat-summary=loss,dup"}
}

// KnowsXR reports whether a side's line says anything of extended reports.
func KnowsXR(m *sdp.Media) bool {
	_, ok := m.Attribute(attributeXR)
	return ok
}

// WantsMetrics reports whether a side's line asks for VoIP metrics.
func WantsMetrics(m *sdp.Media) bool {
	v, _ := m.Attribute(attributeXR)
	return slices.ContainsFunc(strings.Fields(v), func(f string) bool {
		name, _, _ := strings.Cut(f, "=")
		return strings.EqualFold(name, "voip-metrics")
	})
}

// OffersXR reports whether an offer asks: the first does, and later ones as the description that stands, so that it doesn't change.
func OffersXR(stands *sdp.Description) bool {
	if stands == nil {
		return true
	}
	m := stands.Audio()
	return m != nil && KnowsXR(m)
}
