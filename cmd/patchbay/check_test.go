package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func testHost() checkHost {
	return checkHost{
		mode:     func(string) (os.FileMode, error) { return 0o600, nil },
		postgres: func() string { return "/usr/lib/postgresql/15/bin/initdb" },
	}
}

const soundFile = `sip:
  listen: [{transport: udp, address: "0.0.0.0:5060", advertise: 203.0.113.1}]
media:
  addresses: {bind: 10.0.0.5, advertise: 203.0.113.1}
`

func TestDoubts(t *testing.T) {
	sound := strings.Replace(soundFile, "sip:\n", "sip:\n  country: DE\n", 1)
	sound = strings.Replace(sound, "{bind: 10.0.0.5, advertise: 203.0.113.1}", "[{bind: 10.0.0.5, advertise: 203.0.113.1}]", 1)
	route := "routes: [{id: r, source: user, to: [{trunk: telco}]}]\n"
	open := testHost()
	open.mode = func(string) (os.FileMode, error) { return 0o644, nil }
	bare := testHost()
	bare.postgres = func() string { return "" }
	for _, x := range []struct {
		name, file, want string // no want: no doubt at all
		host             checkHost
	}{
		{"none", sound + oneUser + oneTrunk + route, "", testHost()},
		{"nobody", "demo: false", "users: there are no users and no trunks", testHost()},
		{"open to nobody", sound, `sip.listen[0].address is "0.0.0.0:5060": is reachable from other hosts although`, testHost()},
		{"demo in the open", "demo: true\n" + sound, "and the demo's users with it", testHost()},
		{"open HTTP", "http: {listen: \"0.0.0.0:8888\"}\n" + sound + oneUser, `http.listen is "0.0.0.0:8888": is reachable`, testHost()},
		{"page without sound", "https: {listen: \"0.0.0.0:8433\"}\n" + oneUser, "media.addresses: browsers of other hosts can open the page", testHost()},
		{"page with sound", "https: {listen: \"0.0.0.0:8433\"}\n" + sound + oneUser, "", testHost()},
		{"no certificate there", "https: {certificate: /not/there.pem, key: /not/there.key}\n" + sound + oneUser, `https.certificate is "/not/there.pem": can't be used as it is now: open`, testHost()},
		{"few ports", "media: {ports: {min: 20000, max: 20099}}\n" + oneUser, "media.ports: 20000 to 20099 is enough for 25 calls, limits.calls allows 1000: a call takes four ports; set max to 23999", testHost()},
		{"readable", oneUser, "holds secrets and every user of this host can read it (mode 0644)", open},
		{"weak password", "users: [{id: anna, password: abc}]", `users[0].password is "***": has 3 characters`, testHost()},
		{"own name", "users: [{id: annaanna, password: AnnaAnna}]", "is the user's own name or number", testHost()},
		{"no postgres", oneUser, "no PostgreSQL programs found", bare},
		{"RTP on loopback", oneUser + oneTrunk + route, `RTP is received on 127.0.0.1, where trunk "telco" can't send to`, testHost()},
		{"SIP on loopback", oneUser + oneTrunk + route, `SIP is received on loopback alone: calls from trunk "telco" can't come in`, testHost()},
		{"private RTP", "media: {addresses: [{bind: 10.0.0.5}]}\n" + oneUser + oneTrunk + route, `10.0.0.5 is a private address and trunk "telco" is on the public internet`, testHost()},
		{"private Contact", oneUser + oneTrunk + "    advertise: 10.0.0.5\n" + route, `trunks[0].advertise is "10.0.0.5": is a private address`, testHost()},
		{"keys in the clear", oneUser + oneTrunk + "    srtp: require\n" + route, `trunks[0].srtp is "require": whoever reads the trunk's SIP on its way reads the keys`, testHost()},
		{"unused trunk", oneUser + oneTrunk, `trunks[0].id is "telco": no route leads to this trunk`, testHost()},
		{"route from nobody", oneTrunk + route, "routes[0].source: nothing can come from there", testHost()},
		{"no home country", oneUser + oneTrunk + route, "sip.country: is missing, and the numbers of anna don't tell their country either", testHost()},
		{"trunk to trunk", oneUser + oneTrunk + "routes: [{id: r, to: [{trunk: telco}]}]", "lets calls from a trunk out through a trunk", testHost()},
		{"hops after none", oneUser + oneTrunk + "routes: [{id: r, source: user, to: [{trunk: telco, failover: none}, {user: anna}]}]", "the hops after it are never tried", testHost()},
	} {
		t.Run(x.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.yaml")
			if err := os.WriteFile(path, []byte(x.file), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := check(path, testEnv, x.host)
			if err != nil || !r.OK {
				t.Fatal(err, r)
			}
			out := r.String()
			if x.want == "" && len(r.Warnings) > 0 || !strings.Contains(out, x.want) {
				t.Errorf("got\n%swant %q", out, x.want)
			}
			if strings.Contains(out, "planted-secret") {
				t.Error("a secret is shown")
			}
		})
	}
}

// run is the command line, its standard output and its error.
func run(args ...string) (string, error) {
	var out bytes.Buffer
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.Execute()
	return out.String(), err
}

func TestCheckCommand(t *testing.T) {
	good, bad := filepath.Join(t.TempDir(), "good.yaml"), filepath.Join(t.TempDir(), "bad.yaml")
	for path, file := range map[string]string{good: oneUser + "billing: {database: none}", bad: "log: {level: loud}\nsip: {x: 1}"} {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run("check", "--no-host", good)
	want := good + " is good (1 user, 0 trunks, 0 routes)\n"
	if err != nil || out != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	out, err = run("check", good)
	for line := range strings.Lines(strings.TrimPrefix(out, want)) {
		if !strings.HasPrefix(line, "this host: ") {
			t.Errorf("of this host it says %q", line)
		}
	}
	if err != nil || !strings.HasPrefix(out, want) {
		t.Errorf("got %q, %v, want %q first", out, err, want)
	}
	out, err = run("check", bad)
	if !errors.Is(err, errReported) || strings.Count(out, "\n") != 3 || !strings.HasSuffix(out, "bad.yaml can't be used: 2 mistakes\n") {
		t.Errorf("got %q, %v", out, err)
	}
	out, err = run("check", "--json", bad)
	var r Report
	if e := json.Unmarshal([]byte(out), &r); e != nil || !errors.Is(err, errReported) || len(r.Mistakes) != 2 || r.OK {
		t.Errorf("got %s, %v, %v", out, err, e)
	}
	if m := r.Mistakes[0]; m.Line != 1 || m.Column != 14 || m.Field != "log.level" || m.Value != "loud" {
		t.Errorf("first mistake %+v", m)
	}
	if _, err = run("check", good+".not"); err == nil || errors.Is(err, errReported) {
		t.Errorf("a file that isn't there: %v", err)
	}
}

func TestVersionCommand(t *testing.T) {
	out, err := run("version", "--json")
	var v Version
	if e := json.Unmarshal([]byte(out), &v); e != nil || err != nil || !strings.HasPrefix(v.Go, "go1.") {
		t.Errorf("got %s, %v, %v", out, err, e)
	}
	if out, err = run("version"); err != nil || !strings.HasPrefix(out, "patchbay ") {
		t.Errorf("got %s, %v", out, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
