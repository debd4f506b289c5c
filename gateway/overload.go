package gateway

// nearlyFull is the share of Limits.Calls, in percent, from which carriers are asked to hold calls back.
const nearlyFull = 90

// reduction is how many of a hundred new calls carriers that know overload control (RFC 7339) are asked to hold back: none up to nearlyFull,
// all when no call is taken any more.
func (g *Gateway) reduction() int {
	full := int64(g.cfg.Limits.Calls) * 100
	begin := full * nearlyFull / 100
	used := g.load.Load() * 100
	switch {
	case full == 0 || used <= begin:
		return 0
	case used >= full:
		return 100
	}
	return int((used - begin) * 100 / (full - begin))
}
