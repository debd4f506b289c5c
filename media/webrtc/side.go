package webrtc

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/media/sdp"
)

// side is what SDP says of one side's transport (RFC 8839, RFC 8842).
type side struct {
	ufrag, pwd   string
	lite         bool
	setup        string   // actpass, active, passive; "" = not said
	fingerprints []string // "sha-256 AB:CD…", the hash in lower case, the rest in upper; only of hashes that count
	candidates   []netip.AddrPort
	lines        []string // all of them, as they came
}

// What a peer's description may have.
const (
	maxCandidates   = 32
	maxFingerprints = 8
	minUfrag        = 4 // RFC 8445 5.3: 24 bits
	minPwd          = 22
	maxCredential   = 256
)

// protos are the transports of an audio line that we take: the first is offered. The last is how early clients say the same
// (RFC 5764 8 came later).
func protos() []string {
	return []string{"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF"}
}

// parse reads a description of JSEP. Its connection address of 0.0.0.0, which says that there are no candidates yet
// (RFC 8839 4.3.1), is no hold: such lines are taken out, one for one, so that errors still name the right line. Nor is the
// port 0 of a line that goes with others alone a refusal (a=bundle-only, RFC 9143 6): it gets 9.
func parse(body []byte) (*sdp.Description, error) {
	if len(body) <= sdp.MaxSize {
		lines := bytes.Split(body, []byte("\n"))
		line := -1
		for i, l := range lines {
			if bytes.HasPrefix(l, []byte("m=")) {
				line = i
			}
			if line >= 0 && string(bytes.TrimSpace(l)) == "a=bundle-only" {
				f := bytes.SplitN(lines[line], []byte(" "), 3)
				if len(f) == 3 && string(f[1]) == "0" {
					lines[line] = bytes.Join([][]byte{f[0], []byte("9"), f[2]}, []byte(" "))
				}
			}
			if f := strings.Fields(string(l)); len(f) == 3 && f[0] == "c=IN" && (f[2] == "0.0.0.0" || f[2] == "::") {
				lines[i] = []byte("i=")
			}
		}
		body = bytes.Join(lines, []byte("\n"))
	}
	return sdp.Parse(body)
}

// attributes of a media line, or else of the session.
func attributes(d *sdp.Description, m *sdp.Media, key string) []string {
	var out []string
	for _, list := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range list {
			if a.Key == key {
				out = append(out, a.Value)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

func attribute(d *sdp.Description, m *sdp.Media, key string) string {
	if list := attributes(d, m, key); len(list) > 0 {
		return list[0]
	}
	return ""
}

// readSide reads the transport of an audio line, or refuses it.
func readSide(d *sdp.Description, m *sdp.Media) (side, error) {
	s := side{
		ufrag: attribute(d, m, "ice-ufrag"), pwd: attribute(d, m, "ice-pwd"), setup: attribute(d, m, "setup"),
		lite: slices.ContainsFunc(d.Attributes, func(a sdp.Attribute) bool { return a.Key == "ice-lite" }),
	}
	for _, v := range attributes(d, m, "fingerprint") {
		if f, ok := readFingerprint(v); ok && len(s.fingerprints) < maxFingerprints {
			s.fingerprints = append(s.fingerprints, f)
		}
	}
	slices.Sort(s.fingerprints)
	for _, v := range attributes(d, m, "candidate") {
		if len(s.lines) == maxCandidates {
			break
		}
		s.lines = append(s.lines, v)
		if a, ok := readCandidate(v); ok {
			s.candidates = append(s.candidates, a)
		}
	}
	switch {
	case !credential(s.ufrag, minUfrag) || !credential(s.pwd, minPwd):
		return s, sdp.Refuse(sdp.ErrTransport, "Audio comes without usable ICE credentials, expected ice-ufrag of %d and ice-pwd of %d to %d characters", minUfrag, minPwd, maxCredential)
	case len(s.fingerprints) == 0:
		return s, sdp.Refuse(sdp.ErrTransport, "Audio comes without a fingerprint of SHA-256 or better")
	case !m.Mux:
		return s, sdp.Refuse(sdp.ErrTransport, "RTP and RTCP are not on one port, expected rtcp-mux")
	case s.setup != "" && s.setup != "actpass" && s.setup != "active" && s.setup != "passive":
		return s, sdp.Refuse(sdp.ErrTransport, "DTLS set-up is %s, expected actpass, active or passive", s.setup)
	}
	return s, nil
}

// credential reports whether s is one of ICE's (RFC 8839 5.4): letters, digits, + and /.
func credential(s string, least int) bool {
	if len(s) < least || len(s) > maxCredential {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		// Beside the grammar: - _ = , which some clients use.
		if !(c >= 'a' && c <= 'z') && !(s[i] >= '0' && s[i] <= '9') && !strings.ContainsRune("+/-_=", rune(s[i])) {
			return false
		}
	}
	return true
}

// readFingerprint reads the value of a=fingerprint (RFC 8122 5). false is a hash that doesn't count, or nonsense.
func readFingerprint(v string) (string, bool) {
	name, digest, ok := strings.Cut(strings.TrimSpace(v), " ")
	name, digest = strings.ToLower(name), strings.ToUpper(strings.TrimSpace(digest))
	h, known := hashes()[name]
	if !ok || !known || len(digest) != 3*h.Size()-1 {
		return "", false
	}
	for i := range len(digest) {
		if c := digest[i]; i%3 == 2 && c != ':' || i%3 != 2 && !strings.ContainsRune("0123456789ABCDEF", rune(c)) {
			return "", false
		}
	}
	return name + " " + digest, true
}

// readCandidate reads a=candidate (RFC 8839 5.1): UDP, component 1, an address. Names (mDNS) are for the peer's own checks.
func readCandidate(v string) (netip.AddrPort, bool) {
	f := strings.Fields(v)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") || f[6] != "typ" {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(f[4])
	port, err2 := strconv.ParseUint(f[5], 10, 16)
	if err != nil || err2 != nil || port == 0 || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), true
}

// candidate writes one of our addresses. The local preference falls with its place in the list (RFC 8445 5.1.2.1).
func candidate(i int, a netip.AddrPort) string {
	priority := 126<<24 | (65535-min(i, 65535))<<8 | 255
	return fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, priority, a.Addr(), a.Port())
}

// lines are the attributes that say our side of the transport.
func (e *Endpoint) lines(c *credentials, setup string) []sdp.Attribute {
	a := []sdp.Attribute{
		{Key: "mid", Value: e.mid},
		{Key: "ice-ufrag", Value: c.ufrag}, {Key: "ice-pwd", Value: c.pwd},
		{Key: "fingerprint", Value: e.ident.fingerprint}, {Key: "setup", Value: setup},
		{Key: "msid", Value: e.stream + " audio"},
		{Key: "ssrc", Value: fmt.Sprintf("%d cname:%s", e.sink.SSRC, e.control.Name)},
	}
	return a
}

// write makes the body: to what the session of media/sdp says it adds what stands at session level, and the a=mid of refused
// lines, without which some peers refuse the whole; lines are those beside audio. other is the peer's offer, nil in an offer of ours.
func (e *Endpoint) write(local, other *sdp.Description, c *credentials, lines extra) ([]byte, error) {
	d := *local
	mids := e.overlay(&d, lines, c)
	d.Attributes = nil
	if len(mids) > 0 && (other == nil || bundled(other, mids[0])) {
		d.Attributes = append(d.Attributes, sdp.Attribute{Key: "group", Value: "BUNDLE " + strings.Join(mids, " ")})
	}
	if e.transport.Lite() {
		d.Attributes = append(d.Attributes, sdp.Attribute{Key: "ice-lite"})
	}
	d.Attributes = append(d.Attributes, sdp.Attribute{Key: "msid-semantic", Value: " WMS " + e.stream})
	body, err := d.Marshal()
	if err != nil {
		return nil, err
	}
	return named(body, &d, other), nil
}

// Decline answers an offer that Answer has refused because nothing in it can be used: by refusing each of its lines.
func (e *Endpoint) Decline(offer []byte) ([]byte, error) {
	other, err := parse(offer)
	if err != nil {
		return nil, err
	}
	local := sdp.Decline(other)
	body, err := local.Marshal()
	if err != nil {
		return nil, fmt.Errorf("webrtc: %s: %w", e.cfg.Name, err)
	}
	return named(body, local, other), nil
}

// named writes the a=mid of refused lines. other is the peer's offer, nil in an offer of ours.
func named(body []byte, local, other *sdp.Description) []byte {
	var out []byte
	n := -1
	for line := range bytes.Lines(body) {
		out = append(out, line...)
		if !bytes.HasPrefix(line, []byte("m=")) {
			continue
		}
		if n++; local.Media[n].Port != 0 {
			continue
		}
		mid, ok := fmt.Sprint(n), other == nil
		if other != nil && n < len(other.Media) {
			mid, ok = other.Media[n].Attribute("mid")
		}
		if ok {
			out = append(out, "a=mid:"+mid+"\r\n"...)
		}
	}
	return out
}

// candidates are the attributes of those found so far.
func (e *Endpoint) candidates(c *credentials) []sdp.Attribute {
	list, over := e.transport.Candidates(c)
	var out []sdp.Attribute
	for _, v := range list {
		out = append(out, sdp.Attribute{Key: "candidate", Value: v})
	}
	select {
	case <-over:
		out = append(out, sdp.Attribute{Key: "end-of-candidates"})
	default:
	}
	return out
}

// bundled reports whether an offer groups the line with that mid.
func bundled(d *sdp.Description, mid string) bool {
	for _, a := range d.Attributes {
		if f := strings.Fields(a.Value); a.Key == "group" && len(f) > 0 && f[0] == "BUNDLE" && slices.Contains(f[1:], mid) {
			return true
		}
	}
	return false
}
