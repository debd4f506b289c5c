package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// markHeader goes along with calls, by proxies and most gateways, so that one that comes back is known: each pass through an
// instance leaves a mark of the instance and of what was called (RFC 3261 16.3 item 4, which does it with Via).
const markHeader = "X-Patchbay-Path"

// Bounds of a call's way.
const (
	defaultHops       = 70 // RFC 3261 8.1.1.6
	defaultDiversions = 5
	maxMarks          = 32
)

// newInstance names this process in marks.
func newInstance() string {
	b := make([]byte, 6)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// marks are those of a request, the oldest first.
func (g *Gateway) marks(r *sip.Request) []string {
	var out []string
	for _, m := range r.Headers.Values(markHeader) {
		if len(m) <= 64 && len(out) < maxMarks && strings.Trim(m, "0123456789abcdef.") == "" {
			out = append(out, m)
		}
	}
	return out
}

// mark is ours for a call: the same when the same source calls the same number again.
func (g *Gateway) mark(c *call.Call) string {
	sum := sha256.Sum256([]byte(g.instance + "\x00" + c.Tenant + "\x00" + c.User + "\x00" + c.Trunk + "\x00" + c.App + "\x00" + c.Dialled()))
	return g.instance + "." + hex.EncodeToString(sum[:6])
}

// hopsLeft is how many more hops a request may take; one without the header field as many as a new one.
func hopsLeft(h sip.Headers) int {
	n, err := strconv.Atoi(h.Get("Max-Forwards"))
	if err != nil {
		return defaultHops
	}
	return n - 1
}

// hops is Max-Forwards of what the call sends (RFC 7332: a gateway counts on).
func (c *Call) hops() int {
	most := c.g.cfg.Limits.Hops
	if most == 0 {
		most = defaultHops
	}
	if c.caller == nil {
		return most
	}
	return min(most, c.src.hops)
}

// lost is why a call that has come a long way goes no further.
func (c *Call) lost() (call.Cause, bool) {
	limit := c.g.cfg.Limits.Diversions
	if limit == 0 {
		limit = defaultDiversions
	}
	own, mark := 0, c.g.mark(&c.rec.call)
	for _, m := range c.src.marks {
		if m == mark {
			return call.Cause{Q850: 25, SIP: 482, Text: "the call has been here before: it goes in a circle"}, true
		}
		if strings.HasPrefix(m, c.g.instance+".") {
			own++
		}
	}
	switch n := diversionsIn(c.src.diverted); {
	case own > limit:
		return call.Cause{Q850: 25, SIP: 482, Text: fmt.Sprintf("the call has been here %d times: expected at most %d", own, limit)}, true
	case n > limit:
		return call.Cause{Q850: 25, SIP: 482, Text: fmt.Sprintf("the call has been diverted %d times: expected at most %d", n, limit)}, true
	case c.src.hops <= 0:
		return call.Cause{Q850: 25, SIP: 483, Text: "the call has taken too many hops: Max-Forwards is used up"}, true
	}
	return call.Cause{}, false
}
