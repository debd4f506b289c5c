package webrtc

import (
	"hash/maphash"

	"github.com/patchbay/patchbay/media/udp"
)

// Checks in a second that are looked at. Browsers send at most 20 while they connect, and one in two seconds later. Those
// with a right password and those with a wrong one are counted apart, so that forged ones don't use up a peer's own.
const (
	maxChecks      = 100
	maxForged      = 100  // from addresses that nobody has shown to be a peer's, and that share a bucket
	maxForgedKnown = 1000 // from one that a peer has shown: whoever forges these knows the peer's address and both ufrags
)

// bucket counts checks in one second.
type bucket struct{ second, good, forged uint32 }

// limiter bounds how often a password is tested. Addresses that have shown themselves have a bucket each; the others share
// some, who with whom only the seed tells.
type limiter struct {
	seed   maphash.Seed
	shared [1024]bucket
}

func (l *limiter) init() { l.seed = maphash.MakeSeed() }

// index is that of the bucket which checks under a ufrag of ours from an address share with others.
func (l *limiter) index(ufrag string, from *udp.Addr) int {
	var b [18]byte
	ip := from.IP().As16()
	copy(b[:], ip[:])
	b[16], b[17] = byte(from.Port()>>8), byte(from.Port())
	return int((maphash.String(l.seed, ufrag) ^ maphash.Bytes(l.seed, b[:])) % uint64(len(l.shared)))
}

// of is the bucket of a check, and how many forged ones it takes. known is the address's own bucket, nil without.
func (l *limiter) of(known *bucket, ufrag string, from *udp.Addr, now int64) (b *bucket, forged uint32) {
	b, forged = known, maxForgedKnown
	if b == nil {
		b, forged = &l.shared[l.index(ufrag, from)], maxForged
	}
	b.turn(now)
	return b, forged
}

// turn begins another second.
func (b *bucket) turn(now int64) {
	if second := uint32(now / 1e9); b.second != second {
		*b = bucket{second: second}
	}
}
