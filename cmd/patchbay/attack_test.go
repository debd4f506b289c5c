package main

import (
	"strings"
	"testing"
)

func TestAttack(t *testing.T) { t.Run("attack_crlf_in_settings", crlfInSettings) }

// What settings say reaches SIP messages: a line end in any of it is refused, by the name of its key.
func crlfInSettings(t *testing.T) {
	const evil = `"x\r\nX-Evil: 1"`
	user := func(more string) string { return "users:\n  - {id: u, password: planted-secret, " + more + "}\n" }
	trunk := func(more string) string {
		return "trunks:\n  - {id: t, mode: address, proxy: \"192.0.2.1:5060\", addresses: [192.0.2.1], " + more + "}\n"
	}
	for key, file := range map[string]string{
		"sip.domain": "sip: {domain: " + evil + "}\n", "sip.realm": "sip: {realm: " + evil + "}\n", "node.name": "node: {name: " + evil + "}\n",
		"users[0].id": "users:\n  - {id: " + evil + ", password: planted-secret}\n", "users[0].login": user("login: " + evil),
		"users[0].numbers[0]": user("numbers: [" + evil + "]"), "users[0].caller_id": user("caller_id: " + evil), "users[0].caller_name": user("caller_name: " + evil),
		"trunks[0].proxy":  "trunks:\n  - {id: t, mode: address, proxy: " + evil + ", addresses: [192.0.2.1]}\n",
		"trunks[0].domain": trunk("domain: " + evil), "trunks[0].user": trunk("user: " + evil), "trunks[0].id": "trunks:\n  - {id: " + evil + ", mode: address, proxy: \"192.0.2.1:5060\"}\n",
	} {
		_, d := parseConfig("f.yaml", []byte(file), testEnv)
		if err := d.wrong(); len(err) == 0 {
			t.Errorf("%s: a line end is taken", key)
		} else if !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
