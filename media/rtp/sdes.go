package rtp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// Key is one of ours for SRTP, from whoever makes the endpoint.
type Key struct {
	Suite string // as RFC 4568, 6188 or 7714 names it
	Key   []byte // master key and salt; nil = drawn
}

// KeySize is how long a Key of that suite is, in bytes: master key and salt. 0 is a suite that isn't known.
func KeySize(name string) int {
	for _, s := range suites() {
		if s.name == name {
			return s.size()
		}
	}
	return 0
}

// keyring is what SDES (RFC 4568) has agreed on. Our keys are drawn once for each suite; the peer's are kept while it repeats
// them, so that rollover counters and replay windows outlast a re-offer. Guarded by the endpoint's mu.
type keyring struct {
	suites []suite // that we have, in order
	ours   []*sealer
	theirs []*opener // the latest last
}

// maxOpeners bounds the peer's keys that are remembered.
const maxOpeners = 8

// init fills the ring: with a key given, that suite alone is had.
func (k *keyring) init(own *Key) error {
	k.suites = suites()
	if own == nil {
		return nil
	}
	i := slices.IndexFunc(k.suites, func(s suite) bool { return s.name == own.Suite })
	if i < 0 {
		return fmt.Errorf("rtp: Key.Suite is %q, expected one of %s", own.Suite, strings.Join(names(k.suites), ", "))
	}
	k.suites = k.suites[i : i+1]
	if own.Key == nil {
		return nil
	}
	if n := k.suites[0].size(); len(own.Key) != n {
		return fmt.Errorf("rtp: Key.Key has %d bytes, expected %d for %s", len(own.Key), n, own.Suite)
	}
	s, err := newSealer(&k.suites[0], bytes.Clone(own.Key))
	if err != nil {
		return err
	}
	k.ours = append(k.ours, s)
	return nil
}

func names(list []suite) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.name)
	}
	return out
}

// own is our key for a suite.
func (k *keyring) own(s *suite) (*sealer, error) {
	for _, o := range k.ours {
		if o.suite == s.name {
			return o, nil
		}
	}
	key := make([]byte, s.size())
	_, _ = rand.Read(key) // crypto/rand never fails
	o, err := newSealer(s, key)
	if err != nil {
		return nil, err
	}
	k.ours = append(k.ours, o)
	return o, nil
}

// line is the a=crypto value of our key for a suite.
func (k *keyring) line(tag int, s *suite) (string, error) {
	o, err := k.own(s)
	if err != nil {
		return "", err
	}
	c := sdp.Crypto{Tag: tag, Suite: s.name, Keys: []sdp.CryptoKey{{Key: o.key}}}
	return c.Line(), nil
}

// offer lists our keys.
func (k *keyring) offer() ([]string, error) {
	var out []string
	for i := range k.suites {
		l, err := k.line(i+1, &k.suites[i])
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// usable reads a line of the peer's, if we can do what it says.
func (k *keyring) usable(line string) (sdp.Crypto, *suite, bool) {
	c, err := sdp.ParseCrypto(line)
	if err != nil {
		return c, nil, false
	}
	i := slices.IndexFunc(k.suites, func(s suite) bool { return s.name == c.Suite })
	if i < 0 {
		return c, nil, false
	}
	s := &k.suites[i]
	for _, key := range c.Keys {
		// With several keys each packet says which one it is under (RFC 4568 6.1).
		if len(key.Key) != s.size() || len(key.MKI) != len(c.Keys[0].MKI) || len(c.Keys) > 1 && key.MKI == nil {
			return c, nil, false
		}
	}
	for _, p := range c.Params {
		// A window hint asks nothing of us, and what begins with a dash may be passed over; the rest changes what packets look
		// like, or leaves them in the clear (RFC 4568 6.3).
		if !strings.HasPrefix(p, "-") && !strings.HasPrefix(strings.ToUpper(p), "WSH=") {
			return c, nil, false
		}
	}
	return c, s, true
}

// reply chooses among the keys that an offered line has, and puts ours into the answer's: AEAD, which costs a third, if the peer
// has it, else its first.
func (k *keyring) reply(local, remote *sdp.Media) (bool, error) {
	tag, chosen := 0, (*suite)(nil)
	for _, l := range remote.Crypto {
		c, s, ok := k.usable(l)
		if ok && (chosen == nil || strings.HasPrefix(s.name, "AEAD") && !strings.HasPrefix(chosen.name, "AEAD")) {
			tag, chosen = c.Tag, s
		}
	}
	if chosen == nil {
		return false, nil
	}
	l, err := k.line(tag, chosen)
	if err != nil {
		return false, err
	}
	local.Crypto = []string{l}
	return true, nil
}

// agree makes the transform of an offer and its answer, nil where one of them has no keys: each side's line with the other's
// tag and suite (RFC 4568 5.1.3).
func (k *keyring) agree(local, remote *sdp.Media) (*transform, string, error) {
	for _, l := range remote.Crypto {
		theirs, s, ok := k.usable(l)
		if !ok || !slices.ContainsFunc(local.Crypto, func(l string) bool {
			c, err := sdp.ParseCrypto(l)
			return err == nil && c.Tag == theirs.Tag && c.Suite == theirs.Suite
		}) {
			continue
		}
		out, err := k.own(s)
		if err != nil {
			return nil, "", err
		}
		in, err := k.opener(s, &theirs)
		if err != nil {
			return nil, "", err
		}
		return &transform{in: in, out: out}, s.name, nil
	}
	return nil, "", nil
}

// opener finds the peer's keys among those it had, or takes new ones.
func (k *keyring) opener(s *suite, c *sdp.Crypto) (*opener, error) {
	same := sdp.Crypto{Tag: 1, Suite: c.Suite, Keys: c.Keys}
	line := same.Line()
	for _, o := range k.theirs {
		if o.line == line {
			return o, nil
		}
	}
	o, err := newOpener(s, c)
	if err != nil {
		return nil, err
	}
	o.line = line
	if len(k.theirs) >= maxOpeners {
		k.theirs = slices.Delete(k.theirs, 0, 1)
	}
	k.theirs = append(k.theirs, o)
	return o, nil
}

// protos are the transports of a policy, the one to offer first. What was agreed on before stays if it may.
func (e *Endpoint) protos(policy media.SRTP) []string {
	plain, secure := []string{"RTP/AVP", "RTP/AVPF"}, []string{"RTP/SAVP", "RTP/SAVPF"}
	if e.cfg.Feedback {
		slices.Reverse(plain)
		slices.Reverse(secure)
	}
	var list []string
	switch policy {
	case media.SRTPRequire:
		list = append(secure, plain...) // keys beside plain RTP are keys (RFC 8643)
	case media.SRTPPrefer:
		list = append(plain, secure...)
	default:
		list = plain
	}
	if d := e.session.Local(); d != nil {
		if m := d.Audio(); m != nil {
			if i := slices.Index(list, m.Proto); i > 0 {
				list = slices.Insert(slices.Delete(list, i, i+1), 0, m.Proto)
			}
		}
	}
	return list
}

// secured refuses what a policy doesn't take: a line without keys that should have some.
func secured(policy media.SRTP, remote *sdp.Media, keyed bool) error {
	switch {
	case keyed:
		return nil
	case policy == media.SRTPRequire:
		return sdp.Refuse(sdp.ErrTransport, "SRTP is required, and there is no a=crypto that can be used")
	case strings.Contains(remote.Proto, "SAVP"):
		return sdp.Refuse(sdp.ErrTransport, "%s comes without an a=crypto that can be used", remote.Proto)
	}
	return nil
}
