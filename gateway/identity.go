package gateway

import (
	"cmp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// identity is who calls, as far as we believe it.
type identity struct {
	raw     string // number or name, as it came
	number  string // the same, E.164 if it is understood
	name    string // that goes with it; "" = none
	claimed string // what a user's phone says, whether it is the user's or not; "" = nothing, or the same
	from    string // the header field that it was taken from, for the record
	cut     bool   // a number or name was longer than any that is told: of a user's phone what it claims, which is left out
	privacy privacy
}

// shown is the number as it is told to others.
func (who identity) shown() string {
	if who.number != "" {
		return who.number
	}
	return who.raw
}

// told is the same for those who may not know a caller that wants to be private.
func (who identity) told() string {
	if who.privacy.hidden {
		return anonymous
	}
	return who.shown()
}

// privacy is what a caller asks for (RFC 3323 4.2, RFC 3325 9.3, RFC 7044 10.1).
type privacy struct {
	hidden   bool // the identity must not be told: id, user or header, or From is anonymous
	history  bool // nor whom the call was for before
	none     bool // none is wanted, whatever the network would do
	critical bool // rather no call than one without it
	unknown  string
}

// readPrivacy reads Privacy. Values are divided by semicolons (RFC 3323) or, as some write them, commas, in any case.
func readPrivacy(h sip.Headers) privacy {
	var p privacy
	for _, line := range h.Lines("Privacy") {
		for _, v := range strings.FieldsFunc(line, func(r rune) bool { return r == ';' || r == ',' || r == ' ' || r == '\t' }) {
			switch strings.ToLower(v) {
			case "id", "user", "header":
				p.hidden = true
			case "history":
				p.history = true
			case "session": // media goes by us, and SDP is ours
			case "none":
				p.none = true
			case "critical":
				p.critical = true
			default:
				p.unknown = clip(v)
			}
		}
	}
	if p.hidden {
		p.none = false
	}
	return p
}

// anonymous tells a URI that names nobody (RFC 3323 4.1.1.3).
func isAnonymous(u sip.URI) bool {
	return strings.EqualFold(u.User, anonymous) || strings.EqualFold(u.Host, "anonymous.invalid")
}

// anonymousCaller is From of a caller who isn't named.
func anonymousCaller() sip.NameAddr {
	return sip.NameAddr{Display: "Anonymous", URI: sip.URI{Scheme: "sip", User: anonymous, Host: "anonymous.invalid"}}
}

// Caller says how a trunk learns who calls, and tells it.
type Caller struct {
	Read    []string // header fields to look into, in this order: pai, rpid, ppi, from; nil = pai, rpid, from. Of a carrier that isn't trusted, from alone
	Send    []string // header fields beside From that carry the number: pai, ppi, rpid
	Hide    bool     // the caller is never told, as if each asked for it
	Screen  string   // users (""), all, none: see shownAt
	Numbers []string // with all: numbers, and prefixes followed by *, that may be shown
	NoNames bool     // display names aren't sent
}

// Header fields that carry callers, by their names in settings.
const (
	byPAI  = "pai"
	byPPI  = "ppi"
	byRPID = "rpid"
	byFrom = "from"
)

// identity reads who calls over a trunk.
func (t *trunk) identity(r *sip.Request) identity {
	who := identity{privacy: readPrivacy(r.Headers)}
	who.privacy.hidden = who.privacy.hidden || isAnonymous(r.From.URI)
	read := t.Caller.Read
	switch {
	case !t.Trusted:
		read = nil
	case read == nil:
		read = []string{byPAI, byRPID}
	}
	na, from, found := r.From, byFrom, false
	for _, h := range read {
		if h == byFrom {
			break
		}
		if na, found = t.carried(h, r, &who.privacy); found {
			from = h
			break
		}
	}
	if !found {
		na = r.From
	}
	raw, read1 := t.plan.InURI(numbering.Caller, na.URI)
	who.raw, who.number, who.name, who.from = clip(raw), clip(read1.Number), clip(na.Display), from
	who.cut = tooLong(raw) || tooLong(read1.Number)
	if who.name == "" {
		who.name = clip(r.From.Display)
	}
	if from == byFrom && isAnonymous(na.URI) {
		who.raw, who.number = anonymous, ""
	}
	return who
}

// carried is the address in one of a carrier's header fields: of several the first that is a number we understand.
func (t *trunk) carried(header string, r *sip.Request, p *privacy) (sip.NameAddr, bool) {
	name := map[string]string{byPAI: "P-Asserted-Identity", byPPI: "P-Preferred-Identity", byRPID: "Remote-Party-ID"}[header]
	var list []sip.NameAddr
	for _, v := range r.Headers.Values(name) {
		na, err := sip.ParseNameAddr(v)
		if err != nil || isAnonymous(na.URI) {
			continue
		}
		if header == byRPID { // draft-ietf-sip-privacy-04 6
			if party, ok := na.Param("party"); ok && !strings.EqualFold(party, "calling") {
				continue
			}
			if v, ok := na.Param("privacy"); ok && !strings.EqualFold(v, "off") {
				p.hidden = true
			}
		}
		list = append(list, na)
	}
	for _, na := range list {
		if _, n := t.plan.InURI(numbering.Caller, na.URI); strings.HasPrefix(n.Number, "+") {
			return na, true
		}
	}
	if len(list) == 0 {
		return sip.NameAddr{}, false
	}
	return list[0], true
}

// identityOf reads who calls from a user's phone: the user's number, or another one of its own that the phone prefers
// (RFC 3325 9.2).
func (g *Gateway) identityOf(u *User, r *sip.Request) identity {
	who := identity{raw: u.CallerID, name: u.CallerName, privacy: readPrivacy(r.Headers), from: "user"}
	who.privacy.hidden = who.privacy.hidden || isAnonymous(r.From.URI)
	if n, _ := numbering.Of(r.From.URI); n != u.Login && !isAnonymous(r.From.URI) {
		who.claimed = n
	}
	if preferred := addressesOf(r.Headers, "P-Preferred-Identity"); len(preferred) > 0 {
		n, _ := numbering.Of(preferred[0].URI)
		if who.claimed = n; g.owns(u, n) {
			who.raw, who.from = n, byPPI
		}
	}
	if who.cut = tooLong(who.claimed); who.cut {
		who.claimed = ""
	}
	who.number = g.plan.In(numbering.Caller, who.raw).Number
	return who
}

// owns tells whether a number is one of the user's own.
func (g *Gateway) owns(u *User, number string) bool {
	return slices.ContainsFunc(append([]string{u.CallerID}, u.Numbers...), func(own string) bool { return g.plan.Same(own, number) })
}

func addressesOf(h sip.Headers, name string) []sip.NameAddr {
	var out []sip.NameAddr
	for _, v := range h.Values(name) {
		if na, err := sip.ParseNameAddr(v); err == nil {
			out = append(out, na)
		}
	}
	return out
}

// hear takes what an INVITE says of its caller, its way so far, and what goes along.
func (s *source) hear(g *Gateway, r *sip.Request) {
	s.hops = hopsLeft(r.Headers)
	s.marks = g.marks(r)
	if s.user != nil {
		s.who = g.identityOf(s.user, r)
		s.carried = carriable(r.Headers)
		return
	}
	s.who = s.trunk.identity(r)
	s.carried = s.trunk.Headers.In.pick(r.Headers)
	if s.trunk.Trusted {
		s.diverted = readDiversions(r.Headers, s.trunk)
	}
}

// identity is who calls. Where the record's caller is another than the source's, as in a transfer, it is that one.
func (s source) identity(g *Gateway, from string) identity {
	if s.who.raw == from && from != "" {
		return s.who
	}
	hidden := strings.EqualFold(from, anonymous)
	return identity{raw: from, number: g.plan.In(numbering.Caller, from).Number, name: s.callerName(), privacy: privacy{hidden: hidden}}
}

// callerForUsers is From of a call to one of our own users: beside the number the configured name, else the one that the caller
// gives itself.
func (g *Gateway) callerForUsers(from string, src source) (sip.NameAddr, error) {
	who := src.identity(g, from)
	if who.privacy.hidden {
		return anonymousCaller(), nil
	}
	u, err := sip.NewURI(who.shown(), g.cfg.Domain, 0)
	return sip.NameAddr{URI: u, Display: cmp.Or(src.callerName(), who.name, src.own)}, err
}

// dialledNumber is the number that a call is for: as it came, and E.164 if it is understood. cut tells that it is longer than
// any that can be called, and shortened for the record.
func (s source) dialledNumber(g *Gateway, u sip.URI) (raw, number string, cut bool) {
	plan := g.plan
	if s.trunk != nil && s.user == nil {
		plan = s.trunk.plan
	}
	raw, n := plan.InURI(numbering.Called, u)
	raw = wire.Unescape(raw)
	return clip(raw), clip(n.Number), tooLong(raw) || tooLong(n.Number)
}
