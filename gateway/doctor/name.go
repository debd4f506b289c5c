package doctor

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/sip"
)

// names tells how DNS leads to a destination's servers, and returns them.
func (x *examination) names(ctx context.Context, whose string, d sip.Destination) []sip.Server {
	ctx, cancel := context.WithTimeout(ctx, x.part(dnsTime))
	defer cancel()
	steps, list, err := x.UA.Explain(ctx, d)
	if _, literal := netip.ParseAddr(d.Host); d.Addr.IsValid() || literal == nil {
		if err != nil {
			x.add("dns", Fail, "", "%s%v", whose, err)
			return nil
		}
		x.add("dns", OK, "", "%s%s is an address: there is nothing to ask", whose, list[0].Addr)
		return list
	}
	for _, s := range steps {
		if s.Missing() && s.Type == "AAAA" && len(list) > 0 {
			continue // hardly anybody has one
		}
		switch {
		case s.Err != nil:
			x.add("dns", Warn, "are the name servers right, and let through? they are sip.dns, else those of /etc/resolv.conf", "%s%s", whose, clip(s.String()))
		default:
			x.add("dns", OK, "", "%s%s", whose, clip(s.String()))
		}
	}
	if err != nil {
		advice := "is the name spelled as the carrier has it? dig " + d.Host
		if errors.Is(err, context.DeadlineExceeded) {
			advice = "no name server answers: look at sip.dns and /etc/resolv.conf"
		}
		x.add("dns", Fail, advice, "%s%s leads nowhere: %v", whose, d.Host, err)
		return nil
	}
	x.add("dns", OK, "", "%s%s is served by %s", whose, d.Host, places(list))
	return list
}

// places are servers in the order of trying.
func places(list []sip.Server) string {
	var out []string
	for _, s := range list {
		out = append(out, place(s))
	}
	return clip(strings.Join(out, ", then "))
}

func place(s sip.Server) string { return s.Network + " " + s.Addr.String() }
