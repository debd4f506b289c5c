package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// digest finds out whether our account is taken: at the registrar by a REGISTER that only asks, elsewhere by the challenge of
// OPTIONS, if there was one.
func (x *examination) digest(ctx context.Context, registrars []sip.Server) {
	if x.Registrar.IsZero() {
		x.challenged()
		return
	}
	aor, err := sip.NewURI(x.User, x.Domain, 0)
	if err != nil {
		x.add("digest", Fail, "correct user and domain", "%v", err)
		return
	}
	target := aor
	target.User = ""
	q := sip.Question{Method: "REGISTER", Target: target, From: sip.NameAddr{URI: aor}, To: sip.NameAddr{URI: aor}, Credentials: x.Creds}
	var failed []Check
	for _, s := range registrars[:min(len(registrars), maxServers)] {
		if x.shut[s] {
			continue
		}
		q.Server = s
		r, err := x.ask(ctx, q)
		if err == nil {
			x.told = &r
			x.registrar(s, r)
			return
		}
		if failed = append(failed, x.unanswered("digest", "REGISTER", s, r, err)); ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 0 {
		x.add("digest", Warn, "", "not asked: no registrar can be reached")
		return
	}
	x.checks = append(x.checks, failed...)
}

func (x *examination) ask(ctx context.Context, q sip.Question) (sip.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, x.part(answerTime))
	defer cancel()
	return x.UA.Ask(ctx, q)
}

// registrar judges the answer to a REGISTER without a Contact, which changes nothing (RFC 3261 10.2.3).
func (x *examination) registrar(s sip.Server, r sip.Reply) {
	who := fmt.Sprintf("user %q", x.Creds.Username)
	switch {
	case r.Refused != nil || r.Status == 401 || r.Status == 407:
		x.refused(who, r)
	case r.Status == 403 && len(r.Challenges) > 0:
		x.add("digest", Fail, "the carrier forbids the account: is auth_user right, is the account open, is it bound to an address?",
			"%s: %s with the answer of %s got 403 %s", place(s), realms(r), who, clip(r.Phrase))
	case r.Status >= 300:
		x.add("digest", Fail, "does the account belong to this domain and registrar?", "%s answered REGISTER of %s@%s with %d %s", place(s), x.User, x.Domain, r.Status, clip(r.Phrase))
	case len(r.Challenges) == 0:
		x.add("digest", Warn, "whoever has our address could register as us: ask the carrier", "%s takes REGISTER without a password", place(s))
	default:
		x.add("digest", OK, "", "%s: %s, the answer of %s is taken; %s", place(s), realms(r), who, bindings(r))
	}
}

// refused tells of a challenge that we couldn't answer, or whose answer wasn't taken.
func (x *examination) refused(who string, r sip.Reply) {
	advice := "password or auth_user are wrong, or the account isn't open: compare them with what the carrier gave"
	switch {
	case x.Creds.IsZero():
		x.add("digest", Fail, "set the trunk's user and password", "it asks for credentials (%s), and we have none", realms(r))
		return
	case len(r.Challenges) > 0 && x.Creds.Realm != "" && !slices.ContainsFunc(r.Challenges, func(a sip.Asked) bool { return a.Realm == x.Creds.Realm }):
		advice = "the trunk's realm is " + x.Creds.Realm + ": correct it"
	case r.Refused != nil && strings.Contains(r.Refused.Error(), "no challenge that we can answer"):
		advice = "it asks in a way that we don't have: ask the carrier for Digest with MD5, SHA-256 or SHA-512-256"
	}
	text := fmt.Sprintf("%s: the answer of %s is refused with %d %s", realms(r), who, r.Status, clip(r.Phrase))
	if r.Refused != nil && !strings.Contains(r.Refused.Error(), "refused") {
		text = fmt.Sprintf("%s can't answer %s: %v", who, realms(r), r.Refused)
	}
	x.add("digest", Fail, advice, "%s", text)
}

// challenged judges the account of a trunk that doesn't register.
func (x *examination) challenged() {
	who := fmt.Sprintf("user %q", x.Creds.Username)
	switch r := x.reply; {
	case r == nil:
		x.add("digest", Warn, "", "not asked: no server answers")
	case len(r.Challenges) == 0 && x.Creds.IsZero():
		x.add("digest", OK, "", "OPTIONS isn't challenged, and the trunk has no account: the carrier knows us by our address")
	case len(r.Challenges) == 0:
		x.add("digest", OK, "", "OPTIONS isn't challenged, so that the account isn't tried; --call NUMBER tries it")
	case r.Refused != nil || r.Status == 401 || r.Status == 407:
		x.refused(who, *r)
	default:
		x.add("digest", OK, "", "%s, the answer of %s is taken", realms(*r), who)
	}
}

// realms are challenges as people read them.
func realms(r sip.Reply) string {
	var out []string
	for _, c := range r.Challenges {
		s := fmt.Sprintf("realm %q by %s", clip(c.Realm), clip(c.Algorithm))
		if c.QOP != "" {
			s += ", qop " + clip(c.QOP)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return "a challenge that can't be read"
	}
	return strings.Join(out, " or ")
}

// bindings are the contacts that an account has.
func bindings(r sip.Reply) string {
	list := r.Headers.Values("Contact")
	switch len(list) {
	case 0:
		return "no contact is registered now"
	case 1:
		return "registered: " + clip(list[0])
	}
	return fmt.Sprintf("%d contacts are registered: %s", len(list), clip(strings.Join(list, ", ")))
}

// registration tells of the one that the running gateway keeps.
func (x *examination) registration() {
	s := x.Registration
	if s == nil {
		return
	}
	switch {
	case s.State == sip.Registered:
		x.add("registration", OK, "", "registered, granted %v, refreshed at %s", s.Granted, s.Next.UTC().Format(time.TimeOnly))
	case s.Err != nil:
		x.add("registration", Fail, "see digest and options; it is tried again at "+s.Next.UTC().Format(time.TimeOnly)+" UTC", "%s: %v", s.State, unwrapped(s.Err))
	default:
		x.add("registration", Warn, "", "%s", s.State)
	}
}

func unwrapped(err error) error {
	var s *sip.StatusError
	if errors.As(err, &s) {
		return s
	}
	return err
}
