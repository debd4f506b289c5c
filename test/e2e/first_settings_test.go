//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/test/peers"
)

const (
	oneUser    = "users:\n  - {id: anna, password: planted-secret, numbers: [\"401\"]}\n"
	oneTrunk   = "trunks:\n  - {id: telco, mode: address, proxy: 198.51.100.7, addresses: 198.51.100.7}\n"
	badAccount = "trunks:\n  - {id: telco, mode: register, registrar: sip.example.com, user: u"
)

// badSettings has one of each kind: the file, and what must be said after its name: line and column, field, value
// (*** for a secret) and what was expected; … is any words.
var badSettings = []struct{ name, yaml, want string }{
	{"unknown key", "node:\n  nam: x\n", `2:3: node.nam: unknown key, expected one of name, data, drain; did you mean "name"?`},
	{"unknown section", "sipp: {}\n", `1:1: sipp: unknown key, expected one of demo, node, log, http, …users, trunks, apps, groups, …, routes; did you mean "sip"?`},
	{"unknown key of a secret", "users:\n  - id: a\n    ha1: 0123456789abcdef0123456789abcdef\n    pasword: planted-secret\n", `4:5: users[0].pasword: unknown key, expected one of id, tenant, login, password,`},
	{"key twice", "log:\n  level: info\n  level: warn\n", `3:3: log.level: this key stands here for the second time`},
	{"text for a number", "limits:\n  calls: many\n", `2:10: limits.calls is "many": expected a whole number`},
	{"list for a value", "log:\n  level: [info]\n", `2:10: log.level: expected text, not a list`},
	{"nothing for a value", "log:\n  level:\n", `2:10: log.level: is empty, expected text`},
	{"out of range", "limits:\n  calls: 0\n", `2:10: limits.calls is "0": expected 1 to 100000`},
	{"duration without unit", "limits:\n  ring: 30\n", `2:9: limits.ring is "30": expected a duration such as 500ms, 30s or 1h30m`},
	{"unknown word", "sip:\n  listen:\n    - {transport: upd, address: \"127.0.0.1:5060\"}\n", `3:19: sip.listen[0].transport is "upd": expected udp, tcp or tls; did you mean "udp"?`},
	{"unknown codec", "media:\n  codecs: [PCMU, G729]\n", `2:18: media.codecs[1] is "G729": expected PCMU…PCMA`},
	{"bad address", "http:\n  listen: \"localhost:80\"\n", `2:11: http.listen is "localhost:80": expected an IP address and a port, such as 192.0.2.1:5060`},
	{"bad network", "trunks:\n  - {id: b, mode: address, proxy: h, addresses: 10.0.0.1/24}\n", `2:49: trunks[0].addresses[0] is "10.0.0.1/24": expected 10.0.0.0/24: the address has bits outside of its network`},
	{"nothing to advertise", "media:\n  addresses: [{bind: 0.0.0.0}]\n", `2:15: media.addresses[0].advertise: missing, expected the address that RTP can be sent to`},
	{"reversed ports", "media:\n  ports:\n    min: 30000\n    max: 20000\n", `4:10: media.ports.max is "20000": expected at least media.ports.min, which is 30000`},
	{"SIP among RTP's ports", "sip:\n  listen:\n    - {transport: udp, address: \"127.0.0.1:20100\"}\n", `3:33: sip.listen[0].address is "127.0.0.1:20100": SIP needs a port outside of media.ports, which are 20000 to 29999`},
	{"one port for two", "http:\n  listen: \"127.0.0.1:8888\"\nsip:\n  listen:\n    - {transport: tcp, address: \"127.0.0.1:8888\"}\n", `5:33: sip.listen[0].address is "127.0.0.1:8888": SIP needs a port of its own, this one is taken by http.listen in line 2`},
	{"overlapping trunks", oneTrunk + "  - {id: b, mode: address, proxy: h, addresses: 198.51.100.0/24}\n", `3:49: trunks[1].addresses[0] is "198.51.100.0/24": overlaps trunks[0].addresses[0] in line 2`},
	{"id twice", oneUser + "  - {id: anna, password: planted-secret}\n", `3:10: users[1].id is "anna": this id is already that of users[0].id in line 2`},
	{"number twice", oneUser + "  - {id: ben, password: planted-secret, numbers: 401}\n", `3:50: users[1].numbers[0] is "401": this login or number is already that of users[0].numbers[0] in line 2`},
	{"unknown trunk", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telko}]}\n", `4:26: routes[0].to[0].trunk is "telko": there is no trunk "telko", expected telco; did you mean "telco"?`},
	{"unknown user", oneUser + "routes:\n  - {id: r, to: [{user: ana}]}\n", `4:25: routes[0].to[0].user is "ana": there is no user "ana", expected anna; did you mean "anna"?`},
	{"unknown source", oneTrunk + "routes:\n  - {id: r, source: \"user:x\", to: [{trunk: telco}]}\n", `4:21: routes[0].source[0] is "user:x": there is no user "x", expected`},
	{"shadowed route", oneTrunk + "routes:\n  - {id: r, number: +49*, to: [{trunk: telco}]}\n  - {id: s, source: user, number: +4930*, to: [{trunk: telco}]}\n", `5:5: routes[1]: is never reached: routes[0] in line 4 takes the same calls before it`},
	{"regular expression", oneTrunk + "routes:\n  - {id: r, number: /(/, to: [{trunk: telco}]}\n", `4:21: routes[0].number[0] is "/(/": expected a regular expression: error parsing regexp: missing closing )`},
	{"group that isn't there", oneTrunk + "routes:\n  - {id: r, number: \"/0(.*)/\", replace: +49$2, to: [{trunk: telco}]}\n", `4:41: routes[0].replace is "+49$2": has $2, but /0(.*)/ has 1 groups`},
	{"user without password", "users:\n  - id: a\n", `2:5: users[0].password: missing, expected a password or ha1`},
	{"trunk without password", badAccount + "}\n", `2:5: trunks[0].password: missing, expected the account's password or ha1 in mode register`},
	{"ha1 that is none", "users:\n  - {id: a, ha1: planted-secret}\n", `2:18: users[0].ha1 is "***": expected 32 hexadecimal digits`},
	{"unset variable", "users:\n  - {id: a, password: \"${PATCHBAY_NO_SUCH_VARIABLE}\"}\n", `2:23: users[0].password is "***": expected the environment to set PATCHBAY_NO_SUCH_VARIABLE`},
	{"unreadable file", "users:\n  - {id: a, password: \"file:not-there\"}\n", `2:23: users[0].password is "***": expected a readable file: open `},
	{"database", "billing:\n  database: mysql://u:planted-secret@h/d\n", `2:13: billing.database is "***": expected auto, none or postgres://`},
	{"tab", "log:\n\tlevel: info\n", `2:1: not YAML: `},
	{"star without quotes", "routes:\n  - number: *\n", `2:13: not YAML: undefined alias name (a value that begins with * or & needs quotes: "*")`},
	{"unfinished quotes", "users:\n  - password: \"planted-secret\n", `2:15: not YAML: could not find end character of double-quoted text`},
	{"second document", "demo: true\n---\ndemo: false\n", `3:1: the file has a second document, expected one`},
	{"list at the top", "- planted-secret\n", `1:1: expected keys (demo, node, log, http,`},
	{"no text at all", "\x00\x01\x02", `1:1: expected keys (demo, node, log, http,`},
}

// Each kind of mistake in the settings is told with file, line, column, field, value and what was expected, by check as
// by serve; a secret is never shown.
func TestFirstBadSettings(t *testing.T) {
	for _, c := range badSettings {
		file := filepath.Join(peers.Folder(t), "bad.yaml")
		if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		want := file + ":" + c.want
		says := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*"))
		out, errs, code := peers.RunPatchbay(t, nil, "check", file)
		if code != 1 || errs != "" {
			t.Errorf("%s: check ended with code %d and said %q on standard error, expected 1 and nothing", c.name, code, errs)
		}
		if at := says.FindStringIndex(out); at == nil || at[0] != 0 {
			t.Errorf("%s: check says\n%sexpected\n%s", c.name, out, want)
		}
		if !strings.HasSuffix(out, file+" can't be used: 1 mistake\n") {
			t.Errorf("%s: check says\n%sexpected one mistake", c.name, out)
		}
		served, errs, code := peers.RunPatchbay(t, nil, "serve", "--config", file, "--data", filepath.Join(filepath.Dir(file), "data"))
		if code != 1 || !says.MatchString(errs) {
			t.Errorf("%s: serve ended with code %d and said\n%sexpected 1 and\n%s", c.name, code, errs, want)
		}
		if strings.Contains(out+served+errs, "planted-secret") {
			t.Errorf("%s: a secret is shown:\n%s%s%s", c.name, out, served, errs)
		}
	}
}

// A file that says nothing is no mistake, but nobody can call; one that isn't there is.
func TestFirstNoSettings(t *testing.T) {
	file := filepath.Join(peers.Folder(t), "bad.yaml")
	for _, text := range []string{"", "# nothing\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want := file + ": warning: users: there are no users and no trunks: nobody can call\n"
		if out, errs, code := peers.RunPatchbay(t, nil, "check", file); code != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("check of %q ended with code %d and said %q, expected 0 and %q", text, code, out+errs, want)
		}
	}
	absent := file + ".absent"
	want := "settings " + absent + ": no such file or directory"
	if out, errs, code := peers.RunPatchbay(t, nil, "check", absent); code != 1 || !strings.Contains(errs, want) {
		t.Errorf("check of a file that isn't there ended with code %d and said %q, expected 1 and %q", code, out+errs, want)
	}
}
