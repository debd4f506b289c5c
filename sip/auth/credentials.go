// Package auth is HTTP Digest as SIP uses it (RFC 2617, RFC 7616, RFC 8760; RFC 3261 22), as client and as server.
package auth

// Credentials are what a client proves it knows. Either Password or HA1 is set.
type Credentials struct {
	Username string
	Password string
	// HA1 are hex(H(username:realm:password)) for one realm, by algorithm, used when Password is empty. Challenges of other
	// algorithms are then as good as unknown ones.
	HA1 map[Algorithm]string
	// Realm, if set, keeps the credentials from being used for any other realm.
	Realm string
}

// IsZero tells whether there is nothing to authenticate with.
func (c Credentials) IsZero() bool { return c.Username == "" }

// Can tells whether they answer challenges of an algorithm.
func (c Credentials) Can(a Algorithm) bool {
	return a.strength() > 0 && (c.Password != "" || len(c.HA1) == 0 || c.HA1[a] != "")
}
