package sdp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
)

// Terms are what our side wants of the audio line.
type Terms struct {
	Formats       []Format // best first; their PT is not used
	Ordered       bool     // an answer keeps our order of formats rather than the offer's
	Direction     Direction
	Ptime         int        // ms; 0 = the peer's wish, else 20
	Addr          netip.Addr // where the peer's media shall go
	Port          uint16
	Protos        []string    // transports, the first is offered; nil = RTP/AVP, with RTP/AVPF accepted
	Mux           bool        // RTCP on RTP's port: offered, and taken if offered
	Crypto        []string    // a=crypto values of an offer
	Attributes    []Attribute // further attributes of the line
	Bandwidth     []Bandwidth // its b= lines
	Preconditions Preconditions
	// Repeats says whether an answer takes the retransmissions (RFC 4588) that a line offers of the formats which are taken. nil = it takes none.
	Repeats func(remote *Media) bool
	Also    []Media // lines of a first offer behind the audio line, refused from the start

	// Reply completes our line of an answer to that line of the offer: what depends on it, such as keys. Its error refuses the
	// line, and the next is tried. nil = there is nothing to complete.
	Reply func(local, remote *Media) error
}

func (t *Terms) protos() []string {
	if len(t.Protos) > 0 {
		return t.Protos
	}
	return []string{"RTP/AVP", "RTP/AVPF"}
}

// Session is what our side of one SDP session has to remember between descriptions: its o= line, the order of the media
// lines and which payload type stands for what (RFC 3264 8). It isn't safe for concurrent use.
type Session struct {
	origin Origin
	kind   string // of the line that is negotiated
	name   string
	last   *Description // agreed
	bound  []Format     // by payload type, those that were ever ours: a handful, where a table of all would weigh 8 kB
}

// NewSession begins a session with random id. addr stands in the o= line.
func NewSession(name string, addr netip.Addr) *Session {
	return &Session{
		kind:   "audio",
		name:   name,
		origin: Origin{User: "-", ID: strconv.FormatUint(rand.Uint64N(1<<62), 10), Version: 0, Addr: addr.String()},
	}
}

// NewVideo begins a session whose one line is of video.
func NewVideo(name string, addr netip.Addr) *Session {
	s := NewSession(name, addr)
	s.kind = "video"
	return s
}

// Local is the description that was committed last; nil before. It must not be changed.
func (s *Session) Local() *Description { return s.last }

// Commit makes d, which Offer or Answer of this session made, the agreed one: re-offers build on it.
func (s *Session) Commit(d *Description) { s.last = d }

// Offer makes a first offer or a re-offer. In a re-offer the media lines keep their places and the formats their payload
// types; the version rises if anything differs from the agreed description.
func (s *Session) Offer(t Terms) (*Description, error) {
	m, err := s.line(t)
	if err != nil {
		return nil, err
	}
	m.Proto, m.Mux, m.Ptime = t.protos()[0], t.Mux, first(t.Ptime, 20)
	for _, f := range t.Formats {
		if slices.ContainsFunc(m.Formats, f.Same) || f.auxiliary() && !hasClock(t.Formats, f.Clock) {
			continue
		}
		pt, ok := s.number(f, m.Formats)
		if !ok {
			return nil, fmt.Errorf("sdp: offer %s/%d: no payload type is free", f.Codec, f.Clock)
		}
		f.PT = pt
		m.Formats = append(m.Formats, f)
	}
	if !slices.ContainsFunc(m.Formats, func(f Format) bool { return !f.auxiliary() }) {
		return nil, fmt.Errorf("sdp: offer: formats are %s, expected at least one codec", names(t.Formats))
	}
	if t.Preconditions == PreconditionsOffered && s.last == nil {
		m.Attributes = append(m.Attributes, offeredConditions()...)
	}
	d := &Description{}
	if s.last != nil {
		d.Media = refused(s.last.Media)
	}
	if i := lineIndex(s.last, s.kind); i >= 0 {
		d.Media[i] = *m
	} else {
		d.Media = append(d.Media, *m)
	}
	if s.last == nil {
		d.Media = append(d.Media, refused(t.Also)...)
	}
	return d, s.finish(d)
}

// Bare makes a description without audio: an answer that refuses each line of an offer, or an offer of these lines, refused
// from the start. Who has lines that the session knows nothing of puts them in their places.
func (s *Session) Bare(offer *Description, lines []Media) (*Description, error) {
	d := &Description{}
	switch {
	case offer != nil:
		d.Media = refused(offer.Media)
	case s.last != nil:
		d.Media = refused(s.last.Media)
	default:
		d.Media = refused(lines)
	}
	return d, s.finish(d)
}

// Answer makes the answer to an offer, with one line for each of the offer's: the audio line that it takes, and the
// others refused. Errors that are the offer's fault are *Refusal.
func (s *Session) Answer(offer *Description, t Terms) (*Description, *Agreement, error) {
	index, m, err := s.pick(offer, t)
	if err != nil {
		return nil, nil, err
	}
	remote := &offer.Media[index]
	if err := s.precondition(m, remote, t); err != nil {
		return nil, nil, err
	}
	m.Direction = t.Direction.And(remote.Direction.Reverse())
	m.Ptime = ptime(remote, t.Ptime)
	a := &Agreement{Direction: m.Direction, Ptime: ptime(remote, 0)}
	for _, c := range pairs(t, remote.Formats) {
		ours, theirs := c[0], c[1]
		ours.PT = theirs.PT // as offered (RFC 3264 6.1)
		m.Formats = append(m.Formats, ours)
		a.Formats = append(a.Formats, Pair{Format: ours, Send: theirs.PT, Recv: theirs.PT, Peer: theirs.Fmtp})
	}
	if t.Repeats != nil && t.Repeats(remote) {
		m.Formats = append(m.Formats, repeated(m.Formats, remote.Formats)...)
	}
	if len(m.Formats) == 0 {
		return nil, nil, Refuse(ErrNoCodec, "No common codec: offered %s, accepted %s", names(remote.Formats), names(t.Formats))
	}
	d := &Description{Media: refused(offer.Media)}
	d.Media[index] = *m
	if err := s.finish(d); err != nil {
		return nil, nil, err
	}
	a.Local, a.Remote = &d.Media[index], remote
	return d, a, nil
}

// repeated are those of the offered formats that are retransmissions of the taken ones.
func repeated(taken, offered []Format) (out []Format) {
	for _, f := range offered {
		apt, ok := f.Repeats()
		if ok && slices.ContainsFunc(taken, func(g Format) bool { return g.PT == apt }) {
			f.Fmtp = fmt.Sprintf("apt=%d", apt)
			out = append(out, f)
		}
	}
	return out
}

// pairs matches our formats (first) with the offered ones (second).
func pairs(t Terms, offered []Format) [][2]Format {
	if t.Ordered {
		return common(t.Formats, offered)
	}
	list := common(offered, t.Formats)
	for i, c := range list {
		list[i] = [2]Format{c[1], c[0]}
	}
	return list
}

// pick chooses the audio line to take, and begins ours: the one that was taken before, else the first whose transport we
// have.
func (s *Session) pick(offer *Description, t Terms) (int, *Media, error) {
	order := make([]int, 0, len(offer.Media)+1)
	if i := lineIndex(s.last, s.kind); i >= 0 && i < len(offer.Media) {
		order = append(order, i)
	}
	for i := range offer.Media {
		order = append(order, i)
	}
	var refusal error
	for _, i := range order {
		remote := &offer.Media[i]
		if remote.Kind != s.kind || remote.Port == 0 || !slices.Contains(t.protos(), remote.Proto) {
			continue
		}
		m, err := s.line(t)
		if err != nil {
			return 0, nil, err
		}
		m.Crypto, m.Proto, m.Mux = nil, remote.Proto, t.Mux && remote.Mux
		if t.Reply != nil {
			err = t.Reply(m, remote)
		}
		if err == nil {
			return i, m, nil
		}
		if refusal == nil {
			refusal = err
		}
	}
	if refusal != nil {
		return 0, nil, refusal
	}
	if m := offer.Audio(); m != nil {
		return 0, nil, Refuse(ErrTransport, "Audio is offered over %s, expected %s", m.Proto, t.protos()[0])
	}
	return 0, nil, Refuse(ErrNoAudio, "The offer has no audio that is in use")
}

// line is our audio line without formats.
func (s *Session) line(t Terms) (*Media, error) {
	switch {
	case !t.Addr.IsValid() || t.Addr.IsUnspecified():
		return nil, fmt.Errorf("sdp: media address is %s, expected one that a peer can send to", t.Addr)
	case t.Port == 0:
		return nil, fmt.Errorf("sdp: media port is 0, expected 1 to 65535")
	}
	return &Media{
		Kind: s.kind, Port: t.Port, Addr: t.Addr, Direction: t.Direction,
		Crypto: slices.Clone(t.Crypto), Attributes: slices.Clone(t.Attributes), Bandwidth: slices.Clone(t.Bandwidth),
	}, nil
}

// Decline answers an offer by refusing each of its lines; of nil it is a description without lines.
func Decline(offer *Description) *Description {
	id := strconv.FormatUint(rand.Uint64N(1<<62), 10)
	d := &Description{Origin: Origin{User: "-", ID: id, Version: 1, Addr: "0.0.0.0"}}
	if offer != nil {
		d.Media = refused(offer.Media)
	}
	return d
}

// refused copies lines as they stand in a description that doesn't want them.
func refused(list []Media) []Media {
	out := make([]Media, len(list))
	for i, m := range list {
		out[i] = Media{Kind: m.Kind, Proto: m.Proto, Tokens: m.Tokens, Formats: m.Formats}
	}
	return out
}

func hasClock(list []Format, clock int) bool {
	return slices.ContainsFunc(list, func(f Format) bool { return !f.auxiliary() && f.Clock == clock })
}

// number gives f its payload type: the one it has in the agreed description, the one it had before, the static one, or
// a dynamic one that never stood for anything else in this session.
func (s *Session) number(f Format, taken []Format) (uint8, bool) {
	free := func(pt uint8) bool {
		return !slices.ContainsFunc(taken, func(o Format) bool { return o.PT == pt })
	}
	if i := lineIndex(s.last, s.kind); i >= 0 {
		for _, o := range s.last.Media[i].Formats {
			if o.Same(f) && free(o.PT) {
				return o.PT, true
			}
		}
	}
	for _, o := range s.bound {
		if o.Codec != "" && o.Same(f) && free(o.PT) {
			return o.PT, true
		}
	}
	if pt, ok := staticPT(f); ok && free(pt) {
		return pt, true
	}
	unused := func(pt uint8) bool { return s.meaning(pt).Codec == "" && free(pt) }
	if f.Event() && unused(101) { // what everybody else takes; some equipment knows no other
		return 101, true
	}
	for pt := uint8(96); pt < 128; pt++ {
		if pt != 101 && unused(pt) {
			return pt, true
		}
	}
	for pt := uint8(35); pt < 64; pt++ { // RFC 5761 4 keeps 64 to 95 for RTCP
		if unused(pt) {
			return pt, true
		}
	}
	return 0, false
}

// finish gives d its o= line and remembers its payload types.
func (s *Session) finish(d *Description) error {
	d.Name = s.name
	d.Origin = s.origin
	if s.last != nil {
		same, err := s.same(d)
		if err != nil {
			return err
		}
		if same {
			d.Origin.Version = s.last.Origin.Version
			return nil
		}
	}
	s.origin.Version++
	d.Origin.Version = s.origin.Version
	if i := lineIndex(d, s.kind); i >= 0 {
		for _, f := range d.Media[i].Formats {
			s.bind(f)
		}
	}
	_, err := d.Marshal()
	return err
}

// place is where a payload type stands among the bound ones, or would.
func (s *Session) place(pt uint8) (int, bool) {
	return slices.BinarySearchFunc(s.bound, pt, func(f Format, pt uint8) int { return int(f.PT) - int(pt) })
}

// meaning is what a payload type has stood for; Codec "" = nothing yet.
func (s *Session) meaning(pt uint8) Format {
	if i, ok := s.place(pt); ok {
		return s.bound[i]
	}
	return Format{}
}

func (s *Session) bind(f Format) {
	i, ok := s.place(f.PT)
	if !ok {
		s.bound = slices.Insert(s.bound, i, Format{})
	}
	s.bound[i] = f
}

// same compares d with the agreed description, versions aside.
func (s *Session) same(d *Description) (bool, error) {
	a, b := *s.last, *d
	a.Origin.Version, b.Origin.Version = 0, 0
	x, err := a.Marshal()
	if err != nil {
		return false, err
	}
	y, err := b.Marshal()
	if err != nil {
		return false, err
	}
	return bytes.Equal(x, y), nil
}
