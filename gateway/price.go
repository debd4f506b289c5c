package gateway

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Price is money in millionths of its currency's unit. No sum of it is rounded.
type Price int64

const priceDigits = 6

// ParsePrice reads a decimal number such as 0.0135, of up to 9 digits before the point and 6 after it, without a sign.
func ParsePrice(s string) (Price, error) {
	whole, part, dotted := strings.Cut(s, ".")
	if whole == "" || len(whole) > 9 || len(part) > priceDigits || dotted && part == "" || strings.Trim(whole+part, "0123456789") != "" {
		return 0, fmt.Errorf("expected a decimal number such as 0.0135, with up to %d digits after the point", priceDigits)
	}
	var p int64
	for _, d := range whole + part + strings.Repeat("0", priceDigits-len(part)) {
		p = p*10 + int64(d-'0')
	}
	return Price(p), nil
}

// String writes the price as ParsePrice reads it.
func (p Price) String() string {
	s := fmt.Sprintf("%07d", int64(p))
	s = s[:len(s)-priceDigits] + "." + s[len(s)-priceDigits:]
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// of is what a time costs at a price per minute, rounded up.
func (p Price) of(d time.Duration) Price {
	return Price(math.Ceil(float64(p) * d.Minutes()))
}
