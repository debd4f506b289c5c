package auth

import "time"

// Lookup returns the credentials of a user of a realm; ok is false for unknown users.
type Lookup func(username, realm string) (c Credentials, ok bool)

// ServerConfig are a server's settings.
type ServerConfig struct {
	Realm      string
	Lookup     Lookup
	Algorithms []Algorithm   // offered, best first; default MD5 alone, which every phone knows
	NonceLife  time.Duration // default 60 s
}

// Algorithm is a digest algorithm by its name in the header field.
type Algorithm string

// The algorithms.
const (
	MD5       Algorithm = "MD5"
	SHA256    Algorithm = "SHA-256"
	SHA512256 Algorithm = "SHA-512-256"
)

// Server challenges and verifies.
type Server struct{}

// NewServer makes one.
func NewServer(cfg ServerConfig) (*Server, error) { return nil, nil }
