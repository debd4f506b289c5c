package gateway

import (
	"math"
	"time"
)

// bucket bounds how many calls begin per second: it fills with rate tokens a second, up to one second's worth, at least
// one, and each call takes a token.
type bucket struct {
	tokens float64
	at     time.Time // of tokens; zero: full
}

// take takes a token if there is one. rate 0 is no bound.
func (b *bucket) take(rate float64, now time.Time) bool {
	if rate <= 0 {
		return true
	}
	most := math.Max(rate, 1)
	if b.at.IsZero() {
		b.tokens = most
	} else {
		b.tokens = math.Min(most, b.tokens+now.Sub(b.at).Seconds()*rate)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// within takes a token of a party's bucket. The caller holds the lock.
func (g *Gateway) within(key string, rate float64) bool {
	if rate <= 0 {
		return true
	}
	b := g.rates[key]
	if b == nil {
		b = &bucket{}
		g.rates[key] = b
	}
	return b.take(rate, time.Now())
}
