package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/gateway"
)

// routing puts groups, routes and their hops into the gateway's settings.
func (c Config) routing(gc *gateway.Config) error {
	gc.Longest = c.Routing.Order == "longest"
	tables := map[string]gateway.Failover{}
	for _, t := range c.Trunks {
		f, err := t.Failover.gateway()
		if err != nil {
			return fmt.Errorf("trunk %s: %w", t.ID, err)
		}
		tables[t.ID] = f
	}
	for i, u := range c.Users {
		gc.Users[i].Forward = gateway.Forwarding(u.Forward)
	}
	for i, t := range c.Trunks {
		gc.Trunks[i].Redirects = t.Redirects == "own"
		gc.Trunks[i].CalledInTo = t.Called == "to"
	}
	for _, g := range c.Groups {
		gg := gateway.Group{ID: g.ID, Tenant: g.Tenant, Numbers: g.Numbers, Ring: g.Ring}
		switch g.Strategy {
		case "sequential":
			gg.Strategy = gateway.Sequential
		case "random":
			gg.Strategy = gateway.Random
		}
		for _, m := range g.Members {
			gg.Members = append(gg.Members, gateway.Hop{User: m.User, Trunk: m.Trunk, Number: m.Number, Ring: m.Ring})
		}
		gc.Groups = append(gc.Groups, gg)
	}
	for _, r := range c.Routes {
		gr, err := r.gateway(tables)
		if err != nil {
			return fmt.Errorf("route %s: %w", r.ID, err)
		}
		gc.Routes = append(gc.Routes, gr)
	}
	return nil
}

func (r Route) gateway(tables map[string]gateway.Failover) (gr gateway.Route, err error) {
	gr = gateway.Route{ID: r.ID, Tenant: r.Tenant, Source: r.Source, Number: r.Number, Strip: r.Strip, Prefix: r.Prefix, Replace: r.Replace, ByCost: r.By == "cost"}
	if len(r.Hours.Week)+len(r.Hours.Also)+len(r.Hours.Never) > 0 {
		if gr.Hours, err = gateway.NewHours(gateway.HoursConfig(r.Hours)); err != nil {
			return gr, err
		}
	}
	gr.Hops, err = hops(r.To, tables)
	return gr, err
}

// hops are a list's, with the failover of their trunks where they have none of their own.
func hops(list []Hop, tables map[string]gateway.Failover) (out []gateway.Hop, err error) {
	for _, h := range list {
		gh := gateway.Hop{Trunk: h.Trunk, User: h.User, App: h.App, Group: h.Group, Ring: h.Ring, Weight: h.Weight, Failover: tables[h.Trunk]}
		if len(h.Failover) > 0 {
			aside := gh.Failover.Aside
			if gh.Failover, err = (Outcomes{Next: h.Failover, Aside: aside}).gateway(); err != nil {
				return nil, err
			}
		}
		if h.Cost != "" {
			if gh.Cost, err = gateway.ParsePrice(h.Cost); err != nil {
				return nil, fmt.Errorf("cost %q: %w", h.Cost, err)
			}
			gh.Priced = true
		}
		out = append(out, gh)
	}
	return out, nil
}

// gateway reads a table of outcomes.
func (o Outcomes) gateway() (f gateway.Failover, err error) {
	f.Aside = o.Aside
	for _, l := range [...]struct {
		in  []string
		out *[]int
	}{{o.Next, &f.Status}, {o.Stop, &f.Stop}, {o.Later, &f.Later}} {
		for _, s := range l.in {
			switch {
			case s == "none":
			case s == "retry" && l.out == &f.Status:
				f.Retry = true
			case s == "retry":
				*l.out = append(*l.out, 401, 407, 408, 5)
			default:
				n, err := strconv.Atoi(strings.TrimSuffix(s, "xx"))
				if err != nil {
					return f, fmt.Errorf("failover %q: expected retry, none, a SIP status or a class such as 5xx", s)
				}
				*l.out = append(*l.out, n)
			}
		}
	}
	return f, nil
}
