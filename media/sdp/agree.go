package sdp

import (
	"slices"
	"strings"
)

// Agreement is what an offer and its answer come to for the audio line, seen from our side.
type Agreement struct {
	Local, Remote *Media
	Formats       []Pair    // best first; at least one codec, telephone-events behind
	Direction     Direction // ours
	Ptime         int       // ms that the peer wants to receive
}

// Pair is one agreed format with its payload type in each direction: each side is sent the numbers that it named itself
// (RFC 3264 5.1, 6.1).
type Pair struct {
	Format            // ours; PT is Recv
	Send, Recv uint8  // payload types
	Peer       string // the peer's parameters (a=fmtp)
}

// auxiliary formats are no codec for a call by themselves.
func (f Format) auxiliary() bool { return f.Event() || f.Codec == "CN" || f.Codec == "RED" }

// common matches formats: those of list that other has too, in list's order, telephone-event and comfort noise only at
// the clocks of agreed codecs. It returns pairs of (list's, other's).
func common(list, other []Format) [][2]Format {
	var codecs, rest [][2]Format
	for i, f := range list {
		if f.Codec == "" || slices.ContainsFunc(list[:i], f.Same) {
			continue
		}
		j := slices.IndexFunc(other, f.Same)
		switch {
		case j < 0:
		case f.auxiliary():
			rest = append(rest, [2]Format{f, other[j]})
		default:
			codecs = append(codecs, [2]Format{f, other[j]})
		}
	}
	for _, r := range rest {
		if slices.ContainsFunc(codecs, func(c [2]Format) bool { return c[0].Clock == r[0].Clock }) {
			codecs = append(codecs, r)
		}
	}
	return codecs
}

// Agree reads the answer to an offer of ours. It changes nothing, so that one offer can have several answers. Errors
// are *Refusal.
func Agree(offer, answer *Description) (*Agreement, error) { return AgreeOn("audio", offer, answer) }

// AgreeOn is Agree for lines of another kind: video, say.
func AgreeOn(kind string, offer, answer *Description) (*Agreement, error) {
	index := lineIndex(offer, kind)
	if index < 0 {
		return nil, Refuse(ErrNoAudio, "The offer has no %s", kind)
	}
	if len(answer.Media) != len(offer.Media) {
		return nil, Refuse(ErrShape, "The answer has %d media lines, expected %d as in the offer", len(answer.Media), len(offer.Media))
	}
	local, remote := &offer.Media[index], &answer.Media[index]
	switch {
	case remote.Kind != kind:
		return nil, Refuse(ErrShape, "Media line %d of the answer is %s, expected %s as in the offer", index+1, remote.Kind, kind)
	case remote.Port == 0:
		return nil, Refuse(ErrNoAudio, "The answer refuses %s", kind)
	case !sameTransport(local.Proto, remote.Proto) && !opportune(local, remote):
		return nil, Refuse(ErrTransport, "The answer has transport %s, expected %s as offered", remote.Proto, local.Proto)
	}
	a := &Agreement{Local: local, Remote: remote, Direction: local.Direction.And(remote.Direction.Reverse()), Ptime: ptime(remote, 0)}
	for _, c := range common(remote.Formats, local.Formats) {
		a.Formats = append(a.Formats, Pair{Format: c[1], Send: c[0].PT, Recv: c[1].PT, Peer: c[0].Fmtp})
	}
	if len(a.Formats) == 0 {
		return nil, Refuse(ErrNoCodec, "No common codec: offered %s, answered %s", names(local.Formats), names(remote.Formats))
	}
	return a, nil
}

// sameTransport takes AVP and AVPF for one (many peers answer the one with the other), but never SAVP for AVP.
func sameTransport(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(strings.ToUpper(a), "F"), strings.TrimSuffix(strings.ToUpper(b), "F"))
}

// opportune reports whether an offer of plain RTP with keys beside it (RFC 8643) was answered with keys by the name of the
// protected profile, as some do.
func opportune(local, remote *Media) bool {
	return len(local.Crypto) > 0 && len(remote.Crypto) > 0 && sameTransport(strings.Replace(local.Proto, "RTP/AVP", "RTP/SAVP", 1), remote.Proto)
}

// Packet is how long packets to m's side are to be, in ms: ours unless 0, else its wish, else 20, within its limit.
func (m *Media) Packet(ours int) int { return ptime(m, ours) }

// ptime is what we send to m's side: ours unless 0, else its wish, else 20 ms, within its limit.
func ptime(m *Media, ours int) int {
	n := first(first(ours, m.Ptime), 20)
	if m.MaxPtime > 0 {
		n = min(n, m.MaxPtime)
	}
	return n
}

func lineIndex(d *Description, kind string) int {
	if d == nil {
		return -1
	}
	return slices.IndexFunc(d.Media, func(m Media) bool { return m.Kind == kind && m.Port != 0 })
}
