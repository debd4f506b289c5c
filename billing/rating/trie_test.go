package rating

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// What the trie finds is what a look at every prefix finds, of numbers of any length that end anywhere.
func TestTrieFindsTheLongest(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 5))
	for round := range 60 {
		seen := map[string]bool{}
		digits, most := 2+r.IntN(9), 1+r.IntN(MaxPrefix) // few digits make prefixes of prefixes
		for range 1 + r.IntN(400) {
			var p strings.Builder
			for range 1 + r.IntN(most) {
				p.WriteByte(byte('0' + r.IntN(digits)))
			}
			seen[p.String()] = true
		}
		var prefixes []string
		for p := range seen {
			prefixes = append(prefixes, p)
		}
		slices.Sort(prefixes)
		values := make([]int32, len(prefixes))
		for i := range values {
			values[i] = 3 * int32(i)
		}
		tr := newTrie(prefixes, values)
		for range 2000 {
			number := prefixes[r.IntN(len(prefixes))]
			switch r.IntN(4) {
			case 0:
				number = number[:r.IntN(len(number)+1)]
			case 1:
				number += fmt.Sprint(r.IntN(100_000))
			case 2:
				number += fmt.Sprint(r.IntN(10)) + "x" + fmt.Sprint(r.IntN(10))
			}
			want := -1
			for i, p := range prefixes {
				if strings.HasPrefix(number, p) && (want < 0 || len(p) > len(prefixes[want])) {
					want = i
				}
			}
			if want >= 0 {
				want *= 3
			}
			if got := tr.find(number); got != want {
				t.Fatalf("round %d: %q is found at %d, expected %d of %q", round, number, got, want, prefixes)
			}
		}
	}
	for _, number := range []string{"", "1", "123456789"} {
		if got := newTrie(nil, nil).find(number); got != -1 {
			t.Errorf("%q is found at %d without prefixes", number, got)
		}
	}
}
