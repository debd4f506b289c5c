package peers

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

// Coturn is a running server of STUN and TURN, over UDP and TCP.
type Coturn struct {
	*Process
	At             netip.AddrPort
	User, Password string // of the one user; empty if there is a secret
	Secret         string // that makes users with passwords which end
}

// StartCoturn starts one that relays to loopback addresses too; it has its sockets when it is returned.
func StartCoturn(t testing.TB) *Coturn {
	t.Helper()
	return startCoturn(t, &Coturn{User: "patchbay", Password: "relay-me"}, "lt-cred-mech\nuser=patchbay:relay-me")
}

// StartCoturnWithSecret starts one that takes whom somebody with its secret let in, until the second with which the name begins.
func StartCoturnWithSecret(t testing.TB) *Coturn {
	t.Helper()
	return startCoturn(t, &Coturn{Secret: "shared-with-the-gateway"}, "use-auth-secret\nstatic-auth-secret=shared-with-the-gateway")
}

func startCoturn(t testing.TB, c *Coturn, users string) *Coturn {
	t.Helper()
	c.At = netip.AddrPortFrom(Address(t), 3478)
	dir := subfolder(t, Folder(t), "coturn")
	file := filepath.Join(dir, "turnserver.conf")
	at := c.At.Addr()
	write(t, file, fmt.Sprintf(`listening-ip=%s
listening-port=%d
relay-ip=%s
min-port=46000
max-port=46999
%s
realm=test.local
allow-loopback-peers
no-cli
no-tls
no-dtls
fingerprint
userdb=%s
pidfile=%s
log-file=stdout
verbose
`, at, c.At.Port(), at, users, filepath.Join(dir, "turndb"), filepath.Join(dir, "turnserver.pid")))
	c.Process = start(t, command{name: "turnserver", dir: dir, path: "turnserver", args: []string{"-c", file}})
	c.ready(t, 10*time.Second, func() bool { return bound(c.At) })
	return c
}
