package rating

import "github.com/shopspring/decimal"

var (
	sixty = decimal.NewFromInt(60)
	two   = decimal.NewFromInt(2)
)

// share is a sixtieth of a sum that isn't below 0, rounded once. Until here sums are whole: no digit of them is lost.
func share(sum decimal.Decimal, digits int32, how Rounding) decimal.Decimal {
	q, rest := sum.QuoRem(sixty, digits)
	if rest.IsZero() || how == Down {
		return q
	}
	last := decimal.New(1, -digits)
	switch half := rest.Mul(two).Cmp(sixty.Mul(last)); {
	case how == Up, half > 0, half == 0 && how == HalfUp:
		return q.Add(last)
	case half == 0 && odd(q, digits):
		return q.Add(last)
	}
	return q
}

func odd(q decimal.Decimal, digits int32) bool {
	return q.Shift(digits).BigInt().Bit(0) == 1
}
