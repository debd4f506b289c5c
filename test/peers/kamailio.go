package peers

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// KamailioConfig is one registrar and proxy.
type KamailioConfig struct {
	Realm   string            // of digest; empty: test.local
	Users   map[string]string // password by user; they must authenticate REGISTER and INVITE
	Trusted []netip.Addr      // sources that need not authenticate their INVITEs
	Numbers map[string]Number // what happens to a dialled number that isn't a registered user
	Bind    netip.Addr        // zero: an address of its own
	TLS     *Certificates     // listens over TLS on 5061 too, to those who show a certificate that CA vouches for
	Digest  string            // algorithm of its challenges: MD5, SHA-256; empty: it names none, which is MD5
	Params  string            // more modparam lines
	First   string            // script that runs before all of its own for each request
}

// Certificates are PEM files of a TLS peer.
type Certificates struct{ Certificate, Key, CA string }

// Number is what Kamailio does with a dialled number (one that ends with * is a
// prefix): answers Status with Reason, or sends the call to Target, which is a
// user of its own, or the SIP URI of a host that gets the number as it is.
type Number struct {
	Status int
	Reason string
	Target string
}

// Kamailio is a running registrar.
type Kamailio struct {
	*Process
	SIP netip.AddrPort // UDP and TCP
	run string
}

// StartKamailio starts a registrar that also relays calls; it answers when it is returned.
func StartKamailio(t testing.TB, cfg KamailioConfig) *Kamailio {
	t.Helper()
	if !cfg.Bind.IsValid() {
		cfg.Bind = Address(t)
	}
	if cfg.Realm == "" {
		cfg.Realm = "test.local"
	}
	dir := subfolder(t, Folder(t), "kamailio")
	run, err := os.MkdirTemp("", "kam") // a socket's path must be short
	if err != nil {
		t.Fatalf("peers: kamailio: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	k := &Kamailio{SIP: netip.AddrPortFrom(cfg.Bind, 5060), run: run}
	file := filepath.Join(dir, "kamailio.cfg")
	write(t, file, kamailioConfig(cfg, k))
	k.Process = start(t, command{name: "kamailio", dir: dir, path: "kamailio",
		args: []string{"-DD", "-E", "-m", "32", "-M", "4", "-Y", run, "-w", run, "-f", file}})
	k.ready(t, 10*time.Second, func() bool {
		_, err := k.rpc("core.version")
		return err == nil
	})
	return k
}

func kamailioConfig(cfg KamailioConfig, k *Kamailio) string {
	var users, trusted, numbers strings.Builder
	for _, u := range sorted(cfg.Users) {
		fmt.Fprintf(&users, "  $sht(secret=>%s) = \"%s\";\n", u, cfg.Users[u])
	}
	for _, a := range cfg.Trusted {
		fmt.Fprintf(&trusted, "  if ($si == \"%s\") { return; }\n", a)
	}
	for _, n := range sorted(cfg.Numbers) {
		b := cfg.Numbers[n]
		fits := fmt.Sprintf("$rU == \"%s\"", n)
		if prefix, ok := strings.CutSuffix(n, "*"); ok {
			fits = fmt.Sprintf("$(rU{s.substr,0,%d}) == \"%s\"", len(prefix), prefix)
		}
		switch {
		case b.Target == "":
			fmt.Fprintf(&numbers, "  if (%s) { send_reply(\"%d\", \"%s\"); exit; }\n", fits, b.Status, b.Reason)
		case strings.HasPrefix(b.Target, "sip:"):
			fmt.Fprintf(&numbers, "  if (%s) { $du = \"%s\"; t_relay(); exit; }\n", fits, b.Target)
		default:
			fmt.Fprintf(&numbers, "  if (%s) { $rU = \"%s\"; }\n", fits, b.Target)
		}
	}
	var modules, first strings.Builder
	if cfg.Digest != "" {
		cfg.Params += fmt.Sprintf("modparam(\"auth\", \"algorithm\", \"%s\")\n", cfg.Digest)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(cfg.First), "\n") {
		first.WriteString("  " + line + "\n")
	}
	for _, m := range []string{"tm", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "usrloc", "registrar", "auth", "xlog", "htable", "jsonrpcs"} {
		fmt.Fprintf(&modules, "loadmodule \"%s.so\"\n", m)
	}
	if c := cfg.TLS; c != nil {
		fmt.Fprintf(&modules, "enable_tls=yes\nloadmodule \"tls.so\"\nlisten=tls:%s:5061\n", k.SIP.Addr())
		fmt.Fprintf(&modules, "modparam(\"tls\", \"certificate\", \"%s\")\nmodparam(\"tls\", \"private_key\", \"%s\")\nmodparam(\"tls\", \"ca_list\", \"%s\")\n", c.Certificate, c.Key, c.CA)
		modules.WriteString("modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\nmodparam(\"tls\", \"verify_certificate\", 1)\nmodparam(\"tls\", \"require_certificate\", 1)\n")
	}
	return fmt.Sprintf(`#!KAMAILIO
debug=2
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
use_dns_cache=off
alias="%[1]s"
listen=udp:%[2]s
listen=tcp:%[2]s
%[3]s
modparam("usrloc", "db_mode", 0)
modparam("htable", "htable", "secret=>size=4;")
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "%[4]s/rpc")
modparam("rr", "enable_full_lr", 1)
%[8]s
event_route[htable:mod-init] {
%[5]s}

route[AUTH] {
%[6]s  if ($au == $null || !pv_auth_check("%[1]s", "$sht(secret=>$au)", "0", "0")) {
    if (is_method("REGISTER")) { www_challenge("%[1]s", "1"); } else { proxy_challenge("%[1]s", "1"); }
    exit;
  }
  consume_credentials();
}

request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
  xlog("L_NOTICE", "$rm $ru from $si:$sp\n");
%[9]s  if (has_totag()) { loose_route(); t_relay(); exit; }
  if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
  if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
  if (is_method("REGISTER")) {
    route(AUTH);
    if (!save("location")) { sl_reply_error(); }
    exit;
  }
  if (is_method("OPTIONS") && $rU == $null) { sl_send_reply("200", "OK"); exit; }
  route(AUTH);
  record_route();
%[7]s  if (!lookup("location")) { send_reply("404", "Not Found"); exit; }
  t_relay();
}
`, cfg.Realm, k.SIP, modules.String(), k.run, users.String(), trusted.String(), numbers.String(), cfg.Params, first.String())
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// rpc asks over Kamailio's JSON-RPC datagram socket.
func (k *Kamailio) rpc(method string, params ...string) (json.RawMessage, error) {
	ours := filepath.Join(k.run, "ask")
	_ = os.Remove(ours)
	c, err := net.DialUnix("unixgram", &net.UnixAddr{Name: ours, Net: "unixgram"}, &net.UnixAddr{Name: filepath.Join(k.run, "rpc"), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := os.Chmod(ours, 0o777); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(raw); err != nil {
		return nil, err
	}
	b := make([]byte, 64<<10)
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		return nil, err
	}
	var r struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.Unmarshal(b[:n], &r); err != nil {
		return nil, err
	}
	if r.Error != nil {
		return nil, fmt.Errorf("%s", r.Error.Message)
	}
	return r.Result, nil
}

// Registered is the contacts at which the user is registered now.
func (k *Kamailio) Registered(t testing.TB, user string) []string {
	t.Helper()
	raw, err := k.rpc("ul.lookup", "location", user)
	if err != nil {
		return nil // it says "AOR not found"
	}
	var r struct {
		Contacts []struct {
			Contact struct{ Address string }
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("peers: kamailio: ul.lookup %s: %v: %s", user, err, raw)
	}
	var out []string
	for _, c := range r.Contacts {
		out = append(out, c.Contact.Address)
	}
	return out
}
