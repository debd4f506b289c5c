package main

import (
	"fmt"
	"strings"
	"time"
)

// maxICE is how many STUN and TURN servers there may be, each: browsers try all of them in every call.
const maxICE = 8

// ice checks the servers that browsers are told.
func (d *document) ice(c *Config) {
	d.servers("stun", c.STUN, false)
	d.servers("turn.urls", c.TURN.URLs, true)
	switch t := c.TURN; {
	case len(t.URLs) > 0 && t.Secret == "":
		d.bad("turn.secret", "missing, expected the secret that the TURN server shares with us")
	case len(t.URLs) == 0 && t.Secret != "":
		d.bad("turn.urls", "missing, expected the TURN server that turn.secret is for")
	}
	d.between("turn.ttl", c.TURN.TTL, time.Minute, 7*24*time.Hour)
}

func (d *document) servers(field string, list []string, turn bool) {
	if len(list) > maxICE {
		d.bad(field, "has %d entries, expected at most %d", len(list), maxICE)
	}
	for i, s := range list {
		if err := iceURL(s, turn); err != nil {
			d.bad(fmt.Sprintf("%s[%d]", field, i), "%v", err)
		}
	}
}

// iceURL checks stun:HOST[:PORT] (RFC 7064 3.1) or, with turn, turn:HOST[:PORT][?transport=udp|tcp] (RFC 7065 3.1).
func iceURL(s string, turn bool) error {
	scheme, rest, _ := strings.Cut(s, ":")
	if !turn {
		if !iceHost(rest) || scheme != "stun" && scheme != "stuns" {
			return fmt.Errorf("expected stun: or stuns: and a host or host:port, such as stun:stun.example.com:3478")
		}
		return nil
	}
	at, query, ok := strings.Cut(rest, "?")
	if ok && query != "transport=udp" && query != "transport=tcp" || !iceHost(at) || scheme != "turn" && scheme != "turns" {
		return fmt.Errorf("expected turn: or turns: and a host or host:port, with ?transport=udp or ?transport=tcp behind it or none, such as turn:turn.example.com:3478?transport=udp")
	}
	return nil
}

// iceHost is host or host:port; in a URL IPv6 stands in brackets.
func iceHost(s string) bool {
	_, _, err := splitHost(s)
	return err == nil && (strings.HasPrefix(s, "[") || strings.Count(s, ":") < 2)
}
