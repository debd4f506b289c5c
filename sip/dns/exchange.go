package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	mdns "github.com/miekg/dns"
)

// exchanger asks servers.
type exchanger struct {
	servers []netip.AddrPort
	timeout time.Duration
}

// rounds is how often each server is asked before a question counts as unanswered.
const rounds = 2

// datagram is how large an answer over UDP may be without being cut into pieces on its way (DNS flag day 2020).
const datagram = 1232

// ask sends a question to one server after the other until one answers it.
func (x *exchanger) ask(ctx context.Context, host string, typ uint16) (*mdns.Msg, error) {
	q := new(mdns.Msg).SetQuestion(mdns.Fqdn(host), typ)
	q.SetEdns0(datagram, false)
	failed := errors.New("no DNS server is known")
	for range rounds {
		for _, s := range x.servers {
			m, err := x.once(ctx, q, s)
			if err == nil {
				return m, nil
			}
			failed = fmt.Errorf("DNS server %s: %w", s, err)
			if ctx.Err() != nil {
				return nil, failed
			}
		}
	}
	return nil, failed
}

func (x *exchanger) once(ctx context.Context, q *mdns.Msg, server netip.AddrPort) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	q.Id = mdns.Id()
	c := mdns.Client{Net: "udp", UDPSize: datagram, Timeout: x.timeout}
	m, _, err := c.ExchangeContext(ctx, q, server.String())
	if err == nil && m.Truncated {
		c.Net = "tcp"
		m, _, err = c.ExchangeContext(ctx, q, server.String())
	}
	if err != nil {
		return nil, err
	}
	if m.Rcode != mdns.RcodeSuccess && m.Rcode != mdns.RcodeNameError {
		return nil, fmt.Errorf("answered %s", mdns.RcodeToString[m.Rcode])
	}
	return m, nil
}
