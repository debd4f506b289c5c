// Package auth is HTTP Digest as SIP uses it (RFC 2617, RFC 7616, RFC 8760; RFC 3261 22), as client and as server.
package auth

// Credentials are what a client proves it knows. Either Password or HA1 is set.
type Credentials struct {
	Username string
	Password string
	// HA1 is hex(H(username:realm:password)) for one realm and one algorithm, used when Password is empty.
	HA1 string
	// Realm, if set, keeps the credentials from being used for any other realm.
	Realm string
}

// IsZero tells whether there is nothing to authenticate with.
func (c Credentials) IsZero() bool { return c.Username == "" }
