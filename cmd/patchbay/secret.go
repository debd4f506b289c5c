package main

import (
	"fmt"
	"strconv"
	"strings"
)

// Secret is a string that no log, error or dump shows. Only a conversion to string reveals it.
type Secret string

// String shows that there is a secret and not which.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString keeps %#v from showing what String hides.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText keeps JSON and YAML from showing it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Size is a number of bytes, written with a binary unit: 512MiB.
type Size int64

var units = [...]struct {
	name string
	n    int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads digits and a unit of B, KiB, MiB, GiB or TiB.
func (s *Size) UnmarshalText(b []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(b), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.n {
			break
		}
		*s = Size(n * u.n)
		return nil
	}
	return fmt.Errorf("expected a size such as 64MiB")
}

func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.n == 0 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return "0B"
}
