package gateway

import (
	"strings"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// HeaderPolicy says which header fields go through a trunk, and how diversions are told to it.
type HeaderPolicy struct {
	// In are the names of header fields that are taken from the carrier and go on to the other side, Out those that go to the
	// carrier; a name that ends with * stands for all that begin so.
	In, Out Names
	// Diversion are the header fields that tell how a call was led here: diversion (RFC 5806), history-info (RFC 7044).
	Diversion []string
}

// Names is a list of header fields' names; one that ends with * stands for all that begin so.
type Names []string

// Carriable tells whether a header field may be handed on by its name, * behind it included. Those that the stack or another
// setting is about never are.
func Carriable(name string) bool {
	n := strings.ToLower(strings.TrimSuffix(name, "*"))
	if n == "" || !wire.IsToken(n) {
		return false
	}
	if n == "user-to-user" || n == "alert-info" || n == "call-info" || n == "subject" || n == "organization" || n == "priority" || n == "accept-contact" || n == "geolocation" || n == "identity" {
		return true
	}
	return strings.HasPrefix(n, "x-") && n != strings.ToLower(markHeader)
}

func (l Names) has(name string) bool {
	for _, n := range l {
		if p, prefix := strings.CutSuffix(n, "*"); prefix && len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) || strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// pick is what may be handed on of a message: by the list, and fit to be sent. What is too large is left out.
func (l Names) pick(h sip.Headers) []sip.Header {
	if len(l) == 0 {
		return nil
	}
	var out []sip.Header
	for _, f := range carriable(h) {
		if l.has(f.Name) {
			out = append(out, f)
		}
	}
	return out
}

// maxCarried bounds how many fields go through, so that they and ours stay within what one message takes (64).
const maxCarried = 24

// carriable are the header fields of a message that some list could name.
func carriable(h sip.Headers) []sip.Header {
	var out []sip.Header
	for _, f := range h {
		if len(out) < maxCarried && Carriable(f.Name) && len(f.Value) <= maxHeader && len(f.Name) <= maxName && wire.CheckHeader(f) == nil {
			out = append(out, f)
		}
	}
	return out
}

// carry is what goes on from one leg's message to the other leg: what the first one's trunk lets in, and the other's lets out.
// Between users nothing does.
func carry(from, to *sipLeg, h sip.Headers) []sip.Header {
	var list []sip.Header
	switch {
	case from == nil || to == nil || from.trunk == nil && to.trunk == nil:
		return nil
	case from.trunk != nil:
		list = from.trunk.Headers.In.pick(h)
	default:
		list = carriable(h)
	}
	if to.trunk == nil {
		return list
	}
	return to.trunk.Headers.Out.pick(list)
}

// along takes what the next message to the peer is to carry.
func (l *sipLeg) along() []sip.Header {
	if h := l.extra.Swap(nil); h != nil {
		return *h
	}
	return nil
}

// hands has a message of one leg go along with the next one to the other.
func (c *Call) hands(from, to *sipLeg, h sip.Headers) {
	if to != nil {
		list := carry(from, to, h)
		to.extra.Store(&list)
	}
}
