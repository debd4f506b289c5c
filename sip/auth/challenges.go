package auth

import "github.com/patchbay/patchbay/sip/wire"

// Asked is a challenge as it stands in a 401 or 407, for people to read.
type Asked struct {
	Realm     string
	Algorithm string // MD5 where none is named
	QOP       string // as offered; "" = the form of RFC 2069
	Proxy     bool
}

// Challenges are the Digest challenges of a response, whether we can answer them or not.
func Challenges(h wire.Headers) []Asked {
	var out []Asked
	for _, proxy := range []bool{false, true} {
		for _, line := range h.Lines(challengeField(proxy)) {
			f, err := parse(line)
			if err != nil || len(out) >= maxRealms {
				continue
			}
			a := Asked{Realm: f["realm"], Algorithm: f["algorithm"], QOP: f["qop"], Proxy: proxy}
			if a.Algorithm == "" {
				a.Algorithm = "MD5"
			}
			out = append(out, a)
		}
	}
	return out
}
