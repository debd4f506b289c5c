package sdp

import (
	"encoding/base64"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Crypto is one value of a=crypto (RFC 4568): a suite and the keys of the side in whose description it stands.
type Crypto struct {
	Tag    int // 1 to 999999999
	Suite  string
	Keys   []CryptoKey
	Params []string // session parameters, as they stand there
}

// CryptoKey is a master key of SRTP. Its text shows nothing of it, so that no log can.
type CryptoKey struct {
	Key      []byte // master key, then salt
	Lifetime uint64 // packets; 0 = not said
	MKI      []byte // master key identifier, nil = none
}

func (CryptoKey) String() string { return "secret" }

// GoString is String: %#v shows nothing either.
func (CryptoKey) GoString() string { return "secret" }

var errCrypto = errors.New("sdp: crypto: expected a tag, a suite and inline:KEY in base64, perhaps with |LIFETIME and |MKI:LENGTH")

const (
	maxCryptoKeys = 16
	maxTag        = 999999999
)

// ParseCrypto reads a value of a=crypto. Its error tells nothing of what stood there. Keys of methods other than inline are an
// error; padding of the base64 may be missing, and spaces may be more than one.
func ParseCrypto(v string) (Crypto, error) {
	f := strings.Fields(v)
	if len(f) < 3 {
		return Crypto{}, errCrypto
	}
	tag, err := strconv.Atoi(f[0])
	if err != nil || tag < 1 || tag > maxTag {
		return Crypto{}, errCrypto
	}
	c := Crypto{Tag: tag, Suite: strings.ToUpper(f[1]), Params: slices.Clone(f[3:])}
	list := strings.Split(f[2], ";")
	if len(list) > maxCryptoKeys {
		return Crypto{}, errCrypto
	}
	for _, p := range list {
		k, err := parseKey(p)
		if err != nil {
			return Crypto{}, err
		}
		c.Keys = append(c.Keys, k)
	}
	return c, nil
}

func parseKey(p string) (k CryptoKey, err error) {
	const method = "inline:"
	if len(p) < len(method) || !strings.EqualFold(p[:len(method)], method) {
		return k, errCrypto
	}
	part := strings.Split(p[len(method):], "|")
	if k.Key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(part[0], "=")); err != nil || len(k.Key) == 0 || len(part) > 3 {
		return k, errCrypto
	}
	for _, s := range part[1:] {
		id, size, isMKI := strings.Cut(s, ":")
		switch {
		case isMKI:
			if k.MKI, err = parseMKI(id, size); err != nil {
				return k, err
			}
		case s != "": // some write an empty lifetime
			if k.Lifetime, err = parseLifetime(s); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}

// parseMKI reads an identifier: a number, and how many bytes it takes in each packet (RFC 4568 6.1).
func parseMKI(id, size string) ([]byte, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	length, err2 := strconv.Atoi(size)
	if err != nil || err2 != nil || length < 1 || length > 128 || length < 8 && bits.Len64(n) > 8*length {
		return nil, errCrypto
	}
	b := make([]byte, length)
	for i := length - 1; i >= 0 && n > 0; i-- {
		b[i], n = byte(n), n>>8
	}
	return b, nil
}

func parseLifetime(s string) (uint64, error) {
	if exp, ok := strings.CutPrefix(s, "2^"); ok {
		n, err := strconv.Atoi(exp)
		if err != nil || n < 0 || n > 48 { // RFC 3711 9.2
			return 0, errCrypto
		}
		return 1 << n, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, errCrypto
	}
	return n, nil
}

// Line writes the value of a=crypto. It holds the keys: it belongs into a description, and nowhere else.
func (c *Crypto) Line() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(c.Tag) + " " + c.Suite + " ")
	for i, k := range c.Keys {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString("inline:" + base64.StdEncoding.EncodeToString(k.Key))
		if k.Lifetime > 0 {
			b.WriteString("|" + strconv.FormatUint(k.Lifetime, 10))
		}
		if len(k.MKI) > 0 {
			var n uint64
			for _, d := range k.MKI {
				n = n<<8 | uint64(d)
			}
			b.WriteString("|" + strconv.FormatUint(n, 10) + ":" + strconv.Itoa(len(k.MKI)))
		}
	}
	for _, p := range c.Params {
		b.WriteString(" " + p)
	}
	return b.String()
}
