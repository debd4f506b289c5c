package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/doctor"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// testedCarrier is a carrier on loopback with a registrar, whose user trunk has the password "carried".
type testedCarrier struct {
	udp, tcp, tls netip.AddrPort
}

func newTestedCarrier(t *testing.T, change func(*sip.FrontConfig, *sip.Config)) testedCarrier {
	t.Helper()
	server, err := auth.NewServer(auth.ServerConfig{Realm: "carrier.test", Lookup: func(name, _ string) (auth.Credentials, bool) {
		return auth.Credentials{Username: name, Password: "carried"}, name == "trunk"
	}})
	if err != nil {
		t.Fatal(err)
	}
	registrar, err := sip.NewRegistrar(sip.RegistrarConfig{Auth: server, Known: func(u string) bool { return u == "trunk" }})
	if err != nil {
		t.Fatal(err)
	}
	loop := netip.MustParseAddrPort("127.0.0.1:0")
	fc := sip.FrontConfig{Listen: []sip.Listen{{Network: "udp", Addr: loop}, {Network: "tcp", Addr: loop}}}
	uc := sip.Config{Name: "carrier", UserAgent: "Carrier/1", Registrar: registrar, Match: func(sip.Inbound) bool { return true },
		Options: func() sip.Capabilities { return sip.Capabilities{Body: []byte(siptest.SDP)} },
		Invite: func(d *sip.Dialog) {
			_ = d.Progress(183, "Session Progress", []byte(siptest.SDP))
			<-d.Ended()
		}}
	if change != nil {
		change(&fc, &uc)
	}
	front, err := sip.NewFront(fc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	if _, err := front.NewUA(uc); err != nil {
		t.Fatal(err)
	}
	var c testedCarrier
	for _, l := range front.Addrs() {
		*map[string]*netip.AddrPort{"udp": &c.udp, "tcp": &c.tcp, "tls": &c.tls}[l.Network] = l.Addr
	}
	return c
}

// deadPort is one where nobody listens; datagrams to it are read by nobody.
func deadPort(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func pemFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// examined runs the command on a file with one trunk, telco. It returns the lines.
func examined(t *testing.T, file string, args ...string) ([]string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.yaml")
	write(t, path, "sip: {listen: [{transport: udp, address: \"127.0.0.1:0\"}, {transport: tcp, address: \"127.0.0.1:0\"}]"+file)
	out, err := run(append([]string{"trunk", "test", "telco", "--config", path, "--data", t.TempDir(), "--timeout", "12s"}, args...)...)
	return strings.Split(strings.TrimSpace(out), "\n"), err
}

// What the doctor says of carriers that are well and of those that aren't, line by line.
func TestTrunkTest(t *testing.T) {
	ca, stranger := siptest.NewAuthority(t), siptest.NewAuthority(t)
	caFile := pemFile(t, "ca.pem", ca.PEM())
	good := newTestedCarrier(t, func(fc *sip.FrontConfig, _ *sip.Config) {
		fc.Listen = append(fc.Listen, sip.Listen{Network: "tls", Addr: netip.MustParseAddrPort("127.0.0.1:0")})
		fc.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("sip:carrier.test")}}
	})
	bare := newTestedCarrier(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Registrar, c.Reliable, c.Session = nil, sip.ReliableNever, sip.SessionTimer{Interval: -1}
		g729 := strings.NewReplacer("8 0 101", "18").Replace(siptest.SDP)
		c.Options = func() sip.Capabilities {
			return sip.Capabilities{Body: []byte(strings.Replace(g729, "a=rtpmap:101 telephone-event/8000\r\n", "", 1)),
				Headers: []sip.Header{{Name: "Date", Value: time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}}
		}
	})
	down := newTestedCarrier(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Options = func() sip.Capabilities {
			return sip.Capabilities{Status: 503, Headers: []sip.Header{{Name: "Retry-After", Value: "120"}}}
		}
	})
	foreign := newTestedCarrier(t, func(fc *sip.FrontConfig, _ *sip.Config) {
		fc.Listen = []sip.Listen{{Network: "tls", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}
		fc.TLS = &tls.Config{Certificates: []tls.Certificate{stranger.Issue("carrier.test")}}
	})
	picky := newTestedCarrier(t, func(fc *sip.FrontConfig, _ *sip.Config) {
		fc.Listen = []sip.Listen{{Network: "tls", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}
		fc.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("carrier.test")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	})
	cert, key := ca.Pair(ca.Issue("gateway.test"))
	certFile, keyFile := pemFile(t, "cert.pem", cert), pemFile(t, "key.pem", key)
	dead := deadPort(t)
	names := siptest.NewDNS(t,
		`carrier.test. 300 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.test.`,
		"_sip._udp.carrier.test. 60 IN SRV 10 100 "+fmt.Sprint(dead.Port())+" dead.carrier.test.",
		"_sip._udp.carrier.test. 60 IN SRV 20 100 "+fmt.Sprint(good.udp.Port())+" live.carrier.test.",
		"dead.carrier.test. 30 IN A 127.0.0.1", "live.carrier.test. 90 IN A 127.0.0.1",
		"one.test. 60 IN A 127.0.0.1")
	broken := siptest.NewDNS(t)
	broken.Break(2)
	dns := fmt.Sprintf(", dns: [\"%s\"]}\n", names.Addr)
	register := func(at netip.AddrPort, more string) string {
		return dns + fmt.Sprintf("trunks:\n  - {id: telco, mode: register, registrar: \"%s\", domain: carrier.test, user: trunk%s}\n", at, more)
	}
	address := func(proxy, more string) string {
		return dns + fmt.Sprintf("trunks:\n  - {id: telco, mode: address, proxy: \"%s\", addresses: [127.0.0.1]%s}\n", proxy, more)
	}
	over := func(network string, more string) string {
		return ", password: carried, transport: " + network + more
	}
	trust := over("tls", ", tls: {name: carrier.test, ca: "+caFile+"}")
	for _, x := range []struct {
		name, file string
		args       []string
		want       []string // regular expressions, each of a line, in order; others may stand between
		not        string   // stands in no line
	}{
		{"all is well", register(good.udp, ", password: carried"), nil, []string{
			`^ok    dns           127\.0\.0\.1:\d+ is an address: there is nothing to ask$`,
			`^ok    options       udp 127\.0\.0\.1:\d+ answered 200 OK in .*s by Carrier/1; Allow INVITE ACK .*; Supported 100rel timer`,
			`^ok    address       the carrier sees us as 127\.0\.0\.1:\d+, as our Contact says$`,
			`^ok    digest        udp 127\.0\.0\.1:\d+: realm "carrier\.test" by .*, qop auth, the answer of user "trunk" is taken; no contact is registered now$`,
			`^ok    codecs        the carrier has PCMA/8000, PCMU/8000, TELEPHONE-EVENT/8000; in common: PCMA, PCMU$`,
			`^ok    100rel        the carrier has it`, `^ok    timers        the carrier has session timers$`, `^(ok  |warn)  clock         `,
			`^trunk telco works, as far as can be told.*\(asked by this command, \d\.\d s\)$`}, "FAIL"},
		{"wrong password", register(good.udp, ", password: planted-secret"), nil, []string{
			`^ok    options`, `^FAIL  digest        realm "carrier\.test" by .*: the answer of user "trunk" is refused with 401 Unauthorized → password or auth_user are wrong`,
			`^trunk telco doesn't work: 1 check failed`}, "planted-secret"},
		{"wrong user", register(good.tcp, ", auth_user: nobody, password: carried, transport: tcp"), nil, []string{
			`^ok    tcp           127\.0\.0\.1:\d+: connected in`, `^FAIL  digest .*the answer of user "nobody" is refused`}, ""},
		{"dead host", address(dead.String(), ""), []string{"--timeout", "2s"}, []string{
			`^FAIL  options       udp 127\.0\.0\.1:\d+ didn't answer OPTIONS within 700ms; we asked from 127\.0\.0\.1:\d+ as 127\.0\.0\.1:\d+ → it is down, a firewall drops udp`,
			`^warn  digest        not asked: no server answers$`, `^ok    codecs        not told`, `^trunk telco doesn't work: 1 check failed`}, ""},
		{"dead registrar", register(dead, ", password: carried"), []string{"--timeout", "2s"}, []string{`^FAIL  options`, `^FAIL  digest        udp 127\.0\.0\.1:\d+ didn't answer REGISTER`}, ""},
		{"nobody listens", address("127.0.0.1:1", ", transport: tcp"), nil, []string{`^FAIL  tcp           127\.0\.0\.1:1: connection refused → nobody listens there`}, "options  "},
		{"by name, first server dead", address("carrier.test", ", domain: carrier.test, transport: udp"), []string{"--timeout", "4500ms"}, []string{
			`^ok    dns           SRV of _sip\._udp\.carrier\.test: 10 100 \d+ dead\.carrier\.test\.; 20 100 \d+ live\.carrier\.test\. \(TTL 1m0s\)$`,
			`^ok    dns           A of dead\.carrier\.test: 127\.0\.0\.1 \(TTL 30s\)$`, `^ok    dns           A of live\.carrier\.test: 127\.0\.0\.1 \(TTL 1m30s\)$`,
			`^ok    dns           carrier\.test is served by udp 127\.0\.0\.1:\d+, then udp 127\.0\.0\.1:\d+$`,
			`^warn  options       udp .* didn't answer OPTIONS within 1.5s.*another server takes the calls`, `^ok    options       udp .* answered 200`,
			`^ok    digest        OPTIONS isn't challenged, and the trunk has no account`, `^trunk telco works, as far as can be told, with \d warning`}, "FAIL"},
		{"no such name", address("nowhere.test", ""), nil, []string{`^ok    dns           SRV of _sip\._udp\.nowhere\.test: none$`, `^FAIL  dns           nowhere\.test leads nowhere: .* → is the name spelled`}, ""},
		{"name servers fail", strings.Replace(address("carrier.test", ""), names.Addr.String(), broken.Addr.String(), 1), nil, []string{
			`^warn  dns           SRV of _sip\._udp\.carrier\.test: DNS server .* answered SERVFAIL → are the name servers right`, `^FAIL  dns           carrier\.test leads nowhere`}, ""},
		{"TLS", register(good.tls, trust), nil, []string{
			`^ok    tls           127\.0\.0\.1:\d+: TLS 1\.3 in .*, certificate of sip:carrier\.test, issued by CN=test authority$`,
			`^warn  tls           the carrier's certificate ends in (1h0m0s|59m0s), .* → the carrier must renew it$`, `^ok    options       tls 127\.0\.0\.1`, `^ok    digest`}, "FAIL"},
		{"certificate of another", register(good.tls, over("tls", ", tls: {name: other.test, ca: "+caFile+"}")), nil, []string{
			`^FAIL  tls           127\.0\.0\.1:\d+: the certificate is for carrier\.test, not for other\.test → set tls\.name`}, ""},
		{"certificate of a stranger", register(foreign.tls, trust), nil, []string{`^FAIL  tls .*certificate signed by unknown authority.* → set tls\.ca to the PEM file of who vouches for it \(CN=test authority\)$`}, ""},
		{"no certificate of ours", register(picky.tls, trust), nil, []string{`^FAIL  tls .*certificate required.* → the carrier wants another certificate of ours`}, ""},
		{"a certificate of ours", register(picky.tls, over("tls", ", tls: {name: carrier.test, ca: "+caFile+", certificate: "+certFile+", key: "+keyFile+"}")), nil, []string{
			`^ok    tls           127`, `^warn  tls           our certificate \(gateway\.test\) ends in`, `^ok    options       tls`, `^ok    digest`}, "FAIL"},
		{"TLS where there is none", register(good.tcp, trust), []string{"--timeout", "2s"}, []string{`^FAIL  tls           127\.0\.0\.1:\d+: TLS handshake: .* → does it speak TLS`, `^warn  digest        not asked: no registrar can be reached$`}, ""},
		{"nothing in common", address(bare.udp.String(), ", reliable: required"), nil, []string{
			`^FAIL  codecs        the carrier has G729/8000, no telephone-events; ours are PCMU, PCMA: none in common → `,
			`^(FAIL  100rel        the carrier doesn't have it|warn  100rel        not told), and the trunk requires it → `, `^ok    timers `,
			`^warn  clock         the carrier's clock is 1h0m\d+s away from ours`}, ""},
		{"out of service", register(down.udp, ", password: carried"), nil, []string{
			`^FAIL  options       udp 127\.0\.0\.1:\d+ answered 503 .* → the carrier says that it can't take calls now, and to come again in 120 s: ask it$`, `^ok    digest`}, ""},
		{"a call", register(good.udp, ", password: carried"), []string{"--call", "4930555"}, []string{
			`^ok    call          a call to 4930555 from trunk: 183 Session Progress; taken back$`, `^ok    codecs        the carrier has PCMA`, `^ok    100rel        the carrier has it`}, "FAIL"},
		{"a call without an answer", address(dead.String(), ""), []string{"--call", "4930555", "--timeout", "2s"}, []string{`^FAIL  call          a call to 4930555 from anonymous: `}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			lines, err := examined(t, x.file, append([]string{"--direct"}, x.args...)...)
			if took := time.Since(begun); took > 12*time.Second {
				t.Errorf("it took %v", took)
			}
			all := strings.Join(lines, "\n")
			if failed := strings.Contains(all, "FAIL"); failed != errors.Is(err, errReported) || err != nil && !failed {
				t.Fatalf("%v\n%s", err, all)
			}
			rest := lines
			for _, want := range x.want {
				re, found := regexp.MustCompile(want), false
				for i, l := range rest {
					if found = re.MatchString(l); found {
						rest = rest[i+1:]
						break
					}
				}
				if !found {
					t.Fatalf("no line (in this place) is\n%s\nin\n%s", want, all)
				}
			}
			if x.not != "" && strings.Contains(all, x.not) {
				t.Errorf("%q stands in\n%s", x.not, all)
			}
		})
	}
}

// The running gateway is asked, with a token if there is one; what it says is printed. Its refusals are told.
func TestTrunkTestAsksTheGateway(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		switch {
		case r.Header.Get("Authorization") == "":
			problem(w, http.StatusForbidden, "no")
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `[{"id": "telco", "up": true, "state": "static", "calls": 3}]`)
		default:
			fmt.Fprint(w, `{"trunk": "telco", "via": "the running gateway", "ok": false, "checks": [{"step": "options", "verdict": "fail", "text": "gone\u001b[2J", "advice": "wait"}], "seconds": 0.5}`)
		}
	}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "f.yaml")
	write(t, path, fmt.Sprintf("http: {listen: \"%s\"}\ntrunks:\n  - {id: telco, mode: address, proxy: 127.0.0.1:9, addresses: [127.0.0.1]}\n", s.Listener.Addr()))
	data := t.TempDir()
	out, err := run("trunk", "test", "telco", "--config", path, "--data", data, "--token", "abc")
	want := "FAIL  options       gone?[2J → wait\ntrunk telco doesn't work: 1 check failed (asked by the running gateway, 0.5 s)\n"
	if !errors.Is(err, errReported) || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	out, err = run("trunk", "test", "telco", "--config", path, "--data", data, "--token", "abc", "--json")
	var r doctor.Report
	if e := json.Unmarshal([]byte(out), &r); e != nil || !errors.Is(err, errReported) || r.OK || len(r.Checks) != 1 || r.Checks[0].Verdict != doctor.Fail {
		t.Errorf("%v, %v: %s", err, e, out)
	}
	if _, err := run("trunk", "test", "telco", "--config", path, "--data", data); err == nil || !strings.Contains(err.Error(), "expected --token") {
		t.Errorf("without a token: %v", err)
	}
	out, err = run("trunk", "list", "--config", path, "--data", data, "--token", "abc")
	if want := "TRUNK  MODE     SERVER           UP   STATE   CALLS  ERROR\ntelco  address  udp 127.0.0.1:9  yes  static  3      \n"; err != nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	s.Close()
	if out, err = run("trunk", "list", "--config", path, "--data", data); err != nil || !strings.Contains(out, "not running") {
		t.Errorf("%v\n%s", err, out)
	}
	if want := "POST /api/v1/trunks/telco/test Bearer abc"; len(asked) != 4 || asked[0] != want {
		t.Errorf("asked %q, want %q first", asked, want)
	}
}

func TestTrunkTestMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	write(t, path, "http: {listen: \"127.0.0.1:1\"}\n"+oneTrunk)
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"other"}, `trunk "other": expected one of telco`},
		{[]string{"telco", "--timeout", "1s"}, "--timeout 1s: expected 2s to 25s"},
		{[]string{"telco", "--call", "12\n3"}, "--call"},
		{[]string{"telco", "--config", path + ".not"}, "no such file"},
	} {
		_, err := run(append([]string{"trunk", "test", "--config", path, "--data", t.TempDir()}, x.args...)...)
		if err == nil || errors.Is(err, errReported) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v, want %q", x.args, err, x.want)
		}
	}
}
