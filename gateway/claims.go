package gateway

import (
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

const maxClaim = 1000 // characters of a header field's values in a record

// charging tells of P-Charging-Vector in a call's start.
func charging(v string, st *call.Start) {
	p := charged(v)
	st.ICID, st.ICIDAt, st.OrigIOI, st.TermIOI = p["icid-value"], p["icid-generated-at"], p["orig-ioi"], p["term-ioi"]
}

// charged are the parameters of P-Charging-Vector (RFC 7315 4.6), the first of each name; nil of none.
func charged(v string) map[string]string {
	if v == "" {
		return nil
	}
	out := map[string]string{}
	for p := range strings.SplitSeq(v, ";") {
		name, value, _ := strings.Cut(p, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := out[name]; !twice {
			out[name] = clip(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return out
}

// claims are what header fields of an INVITE say of its caller and its way. Who isn't trusted may only wish.
func claims(h sip.Headers, trusted bool) call.Claims {
	all := func(name string) string {
		s := strings.Join(h.Values(name), ", ")
		if r := []rune(s); len(r) > maxClaim {
			return string(r[:maxClaim]) + "…"
		}
		return s
	}
	c := call.Claims{PPI: all("P-Preferred-Identity"), Privacy: all("Privacy")}
	if trusted {
		c.RPID, c.HistoryInfo, c.Charging, c.Access = all("Remote-Party-ID"), all("History-Info"), all("P-Charging-Vector"), all("P-Access-Network-Info")
	}
	return c
}
