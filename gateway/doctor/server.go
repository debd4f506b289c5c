package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// finding is what one server has shown.
type finding struct {
	checks []Check
	reply  *sip.Reply
	failed bool
	shut   bool // there is no connection
}

// servers looks at each server, all at once.
func (x *examination) servers(ctx context.Context, list []sip.Server) {
	if len(list) > maxServers {
		x.add("options", Warn, "", "%d servers: only the first %d are asked", len(list), maxServers)
		list = list[:maxServers]
	}
	found := make([]finding, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() { found[i] = x.server(ctx, s) })
	}
	wg.Wait()
	works := false
	for _, f := range found {
		works = works || !f.failed
	}
	for i, f := range found {
		x.shut[list[i]] = f.shut
		for _, c := range f.checks {
			if c.Verdict == Fail && works { // calls go to the others
				c.Verdict = Warn
				c.Text += "; another server takes the calls, each new one may wait 1.5 s for this"
			}
			x.checks = append(x.checks, c)
		}
		if x.reply == nil && f.reply != nil {
			x.reply = found[i].reply
		}
	}
	if x.reply != nil && len(x.reply.Body) > 0 {
		x.body = x.reply.Body
	}
}

// server connects to one, and asks it by OPTIONS.
func (x *examination) server(ctx context.Context, s sip.Server) finding {
	var f finding
	add := func(c Check) {
		f.checks = append(f.checks, c)
		f.failed = f.failed || c.Verdict == Fail
	}
	switch s.Network {
	case "tcp":
		add(x.tcp(ctx, s))
	case "tls":
		for _, c := range x.tls(ctx, s) {
			add(c)
		}
	}
	if f.failed {
		f.shut = true
		return f
	}
	target, err := sip.NewURI("", x.Domain, 0)
	if err != nil {
		add(check("options", Fail, "correct the trunk's domain", "%v", err))
		return f
	}
	ask, cancel := context.WithTimeout(ctx, x.part(answerTime))
	defer cancel()
	r, err := x.UA.Ask(ask, sip.Question{Method: "OPTIONS", Target: target, Server: s, Credentials: x.Creds})
	if err != nil {
		add(x.unanswered("options", "OPTIONS", s, r, err))
		return f
	}
	f.reply = &r
	add(options(s, r))
	return f
}

func (x *examination) tcp(ctx context.Context, s sip.Server) Check {
	ctx, cancel := context.WithTimeout(ctx, x.part(connectTime))
	defer cancel()
	begun := time.Now()
	if err := x.UA.Reach(ctx, s); err != nil {
		return x.unreachable("tcp", s, err)
	}
	return check("tcp", OK, "", "%s: connected in %v", s.Addr, ms(time.Since(begun)))
}

// unreachable tells why there is no connection.
func (x *examination) unreachable(step string, s sip.Server, err error) Check {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return check(step, Fail, "nobody listens there: are port and transport those that the carrier gave?", "%s: connection refused", s.Addr)
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "i/o timeout"):
		return check(step, Fail, "the host is down, or a firewall drops us: let TCP out to it, and ask the carrier to let our address in", "%s: no connection within %v", s.Addr, x.part(connectTime))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return check(step, Fail, "the trunk's bind isn't an address of this host", "%s: %v", s.Addr, err)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return check(step, Fail, "there is no route to it: look at ip route get "+s.Addr.Addr().String(), "%s: %v", s.Addr, err)
	}
	return check(step, Fail, "", "%s: %v", s.Addr, err)
}

// unanswered tells of a request that nobody answered.
func (x *examination) unanswered(step, method string, s sip.Server, r sip.Reply, err error) Check {
	if errors.Is(err, sip.ErrTimeout) {
		advice := fmt.Sprintf("it is down, a firewall drops %s on the way there or back, or the carrier answers only addresses that it knows: tell it ours", s.Network)
		return check(step, Fail, advice, "%s didn't answer %s within %v; we asked from %s as %s", place(s), method, x.part(answerTime), r.Local, r.Said)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return check(step, Fail, "nobody listens there: are port and transport those that the carrier gave?", "%s: connection refused", place(s))
	}
	return check(step, Fail, "", "%s: %s: %v", place(s), method, err)
}

// options judges an answer to OPTIONS: any shows that somebody is there, but some say that he doesn't want us.
func options(s sip.Server, r sip.Reply) Check {
	text := fmt.Sprintf("%s answered %d %s in %v", place(s), r.Status, clip(r.Phrase), ms(r.Took))
	for _, h := range []string{"Server", "User-Agent"} {
		if v := r.Headers.Get(h); v != "" {
			text += " by " + clip(v)
			break
		}
	}
	for _, h := range []string{"Allow", "Supported"} {
		if v := r.Headers.Values(h); len(v) > 0 {
			text += "; " + h + " " + clip(strings.Join(v, " "))
		}
	}
	switch {
	case r.Status == 408 || r.Status == 503:
		advice := "the carrier says that it can't take calls now"
		if v := r.Headers.Get("Retry-After"); v != "" {
			advice += ", and to come again in " + clip(v) + " s"
		}
		return check("options", Fail, advice+": ask it", "%s", text)
	case r.Status == 403:
		return check("options", Warn, "the carrier forbids it: does it know our address, and the account's domain?", "%s", text)
	case r.Status == 401 || r.Status == 407:
		return check("options", OK, "", "%s: it wants credentials, see digest", text)
	case r.Status >= 300 && r.Status != 404 && r.Status != 405 && r.Status != 481 && r.Status != 483 && r.Status != 501:
		return check("options", Warn, "it is there, but hardly as expected", "%s", text)
	case r.Status >= 300:
		return check("options", OK, "", "%s: it is there, and doesn't care for OPTIONS", text)
	}
	return check("options", OK, "", "%s", text)
}

// address compares what we say of ourselves with what the carrier sees.
func (x *examination) address() {
	r := x.reply
	if r == nil || !r.Seen.IsValid() {
		return
	}
	says := r.Said.String()
	switch {
	case r.Said.Host == r.Seen.Addr().String() && (r.Said.Port == r.Seen.Port() || x.Proxy.Network != "udp"):
		x.add("address", OK, "", "the carrier sees us as %s, as our Contact says", r.Seen)
	case !x.Advertise.IsZero():
		x.add("address", OK, "", "the carrier sees us as %s, our Contact says %s by the trunk's advertise", r.Seen, says)
	case !x.Registrar.IsZero() && x.Proxy.Network == "udp":
		x.add("address", OK, "", "the carrier sees us as %s behind NAT; registering, our Contact takes that over from %s", r.Seen, says)
	default:
		x.add("address", Warn, "there is NAT between us: set the trunk's advertise to "+r.Seen.String()+", or requests of the carrier's go astray",
			"the carrier sees us as %s, our Contact says %s", r.Seen, says)
	}
}
