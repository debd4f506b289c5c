package rating_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
	"github.com/patchbay/patchbay/billing/rating/ratingtest"
)

// The parts of a talk cost together what it costs as a whole, whatever the deck: amounts, fee, units and segments.
func TestRestOfATalk(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rnd, source := rand.New(rand.NewPCG(seed, 0)), ratingtest.NewSource(seed)
	parts := 0
	for range 2000 {
		random := source.Next()
		deck, tariff, err := random.Engine()
		if err != nil {
			t.Fatal(err)
		}
		c := random.Call
		whole, err := tariff.Rate(deck, c)
		if err != nil || !c.Answered {
			continue
		}
		var sum rating.Result
		var covered int
		before, left := time.Duration(0), c.Talk
		for n := 1 + rnd.IntN(4); n > 0; n-- {
			part := c
			if part.Talk = left; n > 1 {
				part.Talk = time.Duration(rnd.Int64N(int64(left) + 1)).Truncate(time.Millisecond)
			}
			r, err := tariff.Rest(deck, part, before)
			if err != nil {
				t.Fatal(err)
			}
			if r.Amount.IsNegative() || r.Rounded.IsNegative() || r.Rated < 0 || r.Fee.IsNegative() || r.TalkMS != part.Talk.Milliseconds() || (r.Before == nil) != (before == 0) {
				t.Fatalf("a part of %v behind %v costs %+v", part.Talk, before, r)
			}
			for _, s := range r.Segments {
				if s.From != covered {
					t.Fatalf("a segment begins at %d s, expected %d: %+v", s.From, covered, r)
				}
				covered += s.Seconds
			}
			sum.Amount, sum.Rounded, sum.Fee, sum.Rated = sum.Amount.Add(r.Amount), sum.Rounded.Add(r.Rounded), sum.Fee.Add(r.Fee), sum.Rated+r.Rated
			before, left = before+part.Talk, left-part.Talk
			parts++
		}
		if !sum.Amount.Equal(whole.Amount) || !sum.Rounded.Equal(whole.Rounded) || !sum.Fee.Equal(whole.Fee) || sum.Rated != whole.Rated || covered != whole.Rated {
			t.Fatalf("the parts cost %+v, the whole %+v", sum, whole)
		}
	}
	if parts < 1000 {
		t.Errorf("only %d parts were rated", parts)
	}
}

// By hand: 75 s at 0.6 a minute, 60 and 6 s, fee 0.05, that were 30 s, 31 s and 14 s.
func TestRestByHand(t *testing.T) {
	deck, err := rating.NewDeck("d", 1, "EUR", []rating.Rate{{Prefix: "49", Price: decimal.RequireFromString("0.6"), First: 60, Next: 6, Fee: decimal.RequireFromString("0.05")}})
	if err != nil {
		t.Fatal(err)
	}
	tariff, err := rating.NewTariff(rating.Config{ID: "t", Deck: "d", Decimals: 2})
	if err != nil {
		t.Fatal(err)
	}
	before := 0
	for _, v := range []struct {
		talk, rated int
		amount      string
	}{{30, 60, "0.65"}, {31, 6, "0.06"}, {14, 12, "0.12"}, {3, 0, "0"}} {
		c := rating.Call{Number: "4930", At: time.Unix(0, 0), Answered: true, Talk: time.Duration(v.talk) * time.Second}
		r, err := tariff.Rest(deck, c, time.Duration(before)*time.Second)
		if err != nil || r.Rated != v.rated || r.Rounded.String() != v.amount {
			t.Errorf("%d s behind %d: %d s cost %s (%v), expected %d and %s", v.talk, before, r.Rated, r.Rounded, err, v.rated, v.amount)
		}
		before += v.talk
	}
}
