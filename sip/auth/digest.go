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

// The algorithms of RFC 7616 and RFC 8760. A client answers their -sess variants too.
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

// integrity is the qop that covers bodies.
const integrity = "auth-int"

// parseVariant is parseAlgorithm for a client: sess tells that it is a -sess variant.
func parseVariant(s string) (a Algorithm, sess bool) {
	name, sess := strings.CutSuffix(strings.ToUpper(s), "-SESS")
	return parseAlgorithm(name), sess
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
	return a.response(ha1, nonce, nc, cnonce, qop, a.hex(method, uri))
}

func (a Algorithm) response(ha1, nonce, nc, cnonce, qop, ha2 string) string {
	if qop == "" {
		return a.hex(ha1, nonce, ha2)
	}
	return a.hex(ha1, nonce, nc, cnonce, qop, ha2)
}

// ha2 is H(A2) (RFC 7616 3.4.3): with qop auth-int the body counts too.
func (a Algorithm) ha2(qop, method, uri string, body []byte) string {
	if qop != integrity {
		return a.hex(method, uri)
	}
	return a.hex(method, uri, a.hex(string(body)))
}

// sessionKey is H(A1) of the -sess variants (RFC 7616 3.4.2), of the nonce and the client's that a session began with.
func (a Algorithm) sessionKey(ha1, nonce, cnonce string) string { return a.hex(ha1, nonce, cnonce) }

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
