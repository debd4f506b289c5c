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
	User, Password string
}

// StartCoturn starts one that relays to loopback addresses too; it has its sockets when it is returned.
func StartCoturn(t testing.TB) *Coturn {
	t.Helper()
	c := &Coturn{At: netip.AddrPortFrom(Address(t), 3478), User: "patchbay", Password: "relay-me"}
	dir := subfolder(t, Folder(t), "coturn")
	file := filepath.Join(dir, "turnserver.conf")
	at := c.At.Addr()
	write(t, file, fmt.Sprintf(`listening-ip=%s
listening-port=%d
relay-ip=%s
min-port=46000
max-port=46999
lt-cred-mech
realm=test.local
user=%s:%s
allow-loopback-peers
no-cli
no-tls
no-dtls
fingerprint
userdb=%s
pidfile=%s
log-file=stdout
verbose
`, at, c.At.Port(), at, c.User, c.Password, filepath.Join(dir, "turndb"), filepath.Join(dir, "turnserver.pid")))
	c.Process = start(t, command{name: "turnserver", dir: dir, path: "turnserver", args: []string{"-c", file}})
	c.ready(t, 10*time.Second, func() bool { return bound(c.At) })
	return c
}
