package gateway

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// priced is a hop and what a minute costs there.
type priced struct {
	Hop
	cost  Price
	known bool
}

// order is a route's hops in the order in which they are tried for one call, and that order in words, "" if it is the list's.
func (r *routes) order(ctx context.Context, rt *compiled, number string) ([]Hop, string) {
	weighted := slices.ContainsFunc(rt.Hops, func(h Hop) bool { return h.Weight > 0 })
	if len(rt.Hops) < 2 || !rt.ByCost && !weighted {
		return rt.Hops, ""
	}
	list := make([]priced, len(rt.Hops))
	for i, h := range rt.Hops {
		list[i] = priced{h, h.Cost, h.Priced}
		if rt.ByCost && r.rates != nil && h.Trunk != "" {
			if p, known := r.rates.Cost(ctx, h.Trunk, cmp.Or(h.Number, number)); known {
				list[i].cost, list[i].known = p, true
			}
		}
	}
	if rt.ByCost {
		slices.SortStableFunc(list, func(a, b priced) int {
			switch {
			case a.known != b.known && a.known:
				return -1
			case a.known != b.known:
				return 1
			}
			return cmp.Compare(a.cost, b.cost)
		})
	}
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && equals(list[i], list[i+n], rt.ByCost) {
			n++
		}
		r.shuffle(list[i : i+n])
		i += n
	}
	hops, words := make([]Hop, len(list)), make([]string, len(list))
	for i, p := range list {
		hops[i], words[i] = p.Hop, p.Hop.String()
		if rt.ByCost {
			words[i] += " at " + p.price()
		}
	}
	return hops, "; tried in the order " + strings.Join(words, ", ")
}

func (p priced) price() string {
	if !p.known {
		return "an unknown price"
	}
	return p.cost.String()
}

// equals tells whether chance decides which of two neighbours comes first.
func equals(a, b priced, byCost bool) bool {
	return a.Weight > 0 && b.Weight > 0 && (!byCost || a.known == b.known && a.cost == b.cost)
}

// shuffle draws the order of equals: each time one of those that are left, with the odds of its weight.
func (r *routes) shuffle(list []priced) {
	for ; len(list) > 1; list = list[1:] {
		all := 0
		for _, p := range list {
			all += p.Weight
		}
		n, i := r.draw(all), 0
		for n >= list[i].Weight {
			n -= list[i].Weight
			i++
		}
		list[0], list[i] = list[i], list[0]
	}
}
