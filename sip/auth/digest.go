package auth

import (
	"crypto/md5" //nolint:gosec // RFC 7616 still names MD5, and phones still speak nothing else
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/sip/wire"
)

// Algorithm is a digest algorithm by its name in the header field.
type Algorithm string

// The algorithms of RFC 7616 and RFC 8760, without their -sess variants.
const (
	MD5       Algorithm = "MD5"
	SHA256    Algorithm = "SHA-256"
	SHA512256 Algorithm = "SHA-512-256"
)

// strength orders algorithms; 0 means unknown.
func (a Algorithm) strength() int {
	switch a {
	case MD5:
		return 1
	case SHA256:
		return 2
	case SHA512256:
		return 3
	}
	return 0
}

func parseAlgorithm(s string) Algorithm {
	if s == "" {
		return MD5 // RFC 7616 3.3
	}
	return Algorithm(strings.ToUpper(s))
}

// Algorithms are all that we know, best first.
func Algorithms() []Algorithm { return []Algorithm{SHA512256, SHA256, MD5} }

// Size is the length of an algorithm's hash in bytes; 0 for an unknown one.
func (a Algorithm) Size() int {
	if a.strength() == 0 {
		return 0
	}
	return a.new().Size()
}

func (a Algorithm) new() hash.Hash {
	switch a {
	case SHA256:
		return sha256.New()
	case SHA512256:
		return sha512.New512_256()
	}
	return md5.New() //nolint:gosec // see the import
}

func (a Algorithm) hex(parts ...string) string {
	h := a.new()
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

// HA1 is hex(H(username:realm:password)), which may be stored instead of a password.
func HA1(a Algorithm, username, realm, password string) string {
	return a.hex(username, realm, password)
}

func (c Credentials) ha1(a Algorithm, realm string) string {
	if c.Password == "" && len(c.HA1) > 0 {
		return strings.ToLower(c.HA1[a])
	}
	return HA1(a, c.Username, realm, c.Password)
}

// Response is request-digest (RFC 7616 3.4.1), or with an empty method rspauth (3.5). qop is "auth" or "" (RFC 2069 style), nc is
// eight hexadecimal digits.
func Response(a Algorithm, ha1, nonce, nc, cnonce, qop, method, uri string) string {
	ha2 := a.hex(method, uri)
	if qop == "" {
		return a.hex(ha1, nonce, ha2)
	}
	return a.hex(ha1, nonce, nc, cnonce, qop, ha2)
}

// fields are the parameters of a challenge or of credentials, names in lower case.
type fields map[string]string

// maxFields bounds what one header field can make us hold.
const maxFields = 32

// parse reads "Digest name=value, …". Values lose their quotes; a repeated name is an error.
func parse(value string) (fields, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return nil, fmt.Errorf("auth: scheme %.20q: expected Digest", scheme)
	}
	f := fields{}
	for _, part := range wire.SplitList(rest) {
		name, v, ok := strings.Cut(part, "=")
		name, v = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(v)
		if !ok || !wire.IsToken(name) {
			return nil, fmt.Errorf("auth: parameter %.40q: expected name=value", part)
		}
		if _, twice := f[name]; twice {
			return nil, fmt.Errorf("auth: parameter %.40q stands twice", name)
		}
		if len(f) >= maxFields {
			return nil, fmt.Errorf("auth: more than %d parameters", maxFields)
		}
		f[name] = wire.Unquote(v)
	}
	return f, nil
}

func (f fields) hasQop(want string) bool {
	for q := range strings.SplitSeq(f["qop"], ",") {
		if strings.EqualFold(strings.TrimSpace(q), want) {
			return true
		}
	}
	return false
}

func nc(n uint32) string { return fmt.Sprintf("%08x", n) }

func parseNC(s string) (uint32, bool) {
	if len(s) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 32)
	return uint32(n), err == nil && n > 0
}
