package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func testEnv(name string) (string, bool) {
	v, ok := map[string]string{
		"PW": "planted-secret", "PORT": "5062", "ANNA_PASSWORD": "planted-secret", "BACKUP_PASSWORD": "planted-secret", "AGENT_TOKEN": "planted-secret",
		"FRONT_DESK_SHA256": strings.Repeat("0123456789abcdef", 4), "FRONT_DESK_SHA512": strings.Repeat("0123456789abcdef", 4),
		"TELCO_HA1": "0123456789abcdef0123456789abcdef", "TELCO_SHA256": strings.Repeat("0123456789abcdef", 4), "TELCO_SHA512": strings.Repeat("0123456789abcdef", 4),
		"FRONT_DESK_HA1": "0123456789abcdef0123456789abcdef", "TURN_SECRET": "planted-secret", "S3_SECRET": "planted-secret",
		"CRM_TOKEN": "planted-secret-0123456789abcdef", "AUDIT_SHA256": strings.Repeat("0123456789abcdef", 4),
		"CRM_WEBHOOK_SECRET": "planted-secret-0123456789abcdef", "HOOK_SECRET": "planted-secret-0123456789abcdef", "SHORT": "planted-secret",
	}[name]
	return v, ok
}

const (
	oneUser  = "users:\n  - id: anna\n    password: planted-secret\n    numbers: [\"401\"]\n"
	oneToken = "tokens:\n  - id: crm\n    secret: planted-secret-0123456789abcdef\n    roles: read\n"
	oneApp   = "apps:\n  - id: ivr\n"
	oneTrunk = "trunks:\n  - id: telco\n    mode: address\n    proxy: 198.51.100.7\n    addresses: 198.51.100.7\n"
	register = "trunks:\n  - {id: telco, mode: register, registrar: sip.example.com, user: u, password: planted-secret"
)

// mistakes of every kind: the file, and the beginning of what must be said, the file's name aside.
var mistakes = []struct{ name, file, want string }{
	{"not YAML", "sip: [", `:1:6: not YAML: `},
	{"unquoted star", "routes:\n  - number: *", `:2:13: not YAML: `},
	{"unfinished quote with a secret", "users:\n  - password: \"planted-secret", `:2:15: not YAML: `},
	{"two documents", "demo: true\n---\ndemo: false", `:3:1: the file has a second document`},
	{"a list at the top", "- a", `:1:1: expected keys (demo, node, log`},
	{"unknown section", "sipp: {}", `:1:1: sipp: unknown key, expected one of demo, node, log, http, https, sip, media, stun, turn, billing, limits, rpc, tokens, users, trunks, apps, groups, routing, emergency, outbound, tenants, tariffs, rating, webhooks, routes; did you mean "sip"?`},
	{"unknown key, its value unseen", "users:\n  - id: a\n    pasword: planted-secret", `:3:5: users[0].pasword: unknown key, expected one of id, tenant, login, password, ha1, numbers, caller_id, caller_name, codecs, transcode, dtmf, srtp, interface, max_calls, max_rate, duration, forward, outbound, tariff, tariff_in, tariff_internal; did you mean "password"?`},
	{"unknown key like no other", "log: {zzzzzzz: 1}", `:1:7: log.zzzzzzz: unknown key, expected one of level, format` + "\n"},
	{"key twice", "log:\n  level: info\n  level: warn", `:3:3: log.level: this key stands here for the second time`},
	{"anchor", "log: &a {level: info}", `:1:6: log: anchors, aliases and tags aren't read`},
	{"list for keys", "log: [info]", `:1:6: log: expected keys (level or format), not a list`},
	{"keys for a list", "users: {id: a}", `: users: expected a list, not keys`},
	{"value for a list", "users: anna", `:1:8: users: expected a list, not a single value`},
	{"list for a value", "log: {level: [info]}", `: log.level: expected text, not a list`},
	{"empty", "log:\n  level:\n", `: log.level: is empty, expected text`},
	{"not a bool", "demo: yes", `:1:7: demo is "yes": expected true or false`},
	{"not a number", "limits: {calls: many}", `: limits.calls is "many": expected a whole number`},
	{"fraction", "limits: {calls: 1.5}", `: limits.calls is "1.5": expected a whole number`},
	{"not a port", "media: {ports: {min: 70000}}", `: media.ports.min is "70000": expected a whole number from 0 to 65535`},
	{"not a duration", "limits: {ring: 30}", `: limits.ring is "30": expected a duration such as`},
	{"negative duration", "node: {drain: -1s}", `: node.drain is "-1s": expected a duration such as`},
	{"not a size", "billing: {reserve: 64MB}", `: billing.reserve is "64MB": expected a size`},
	{"not an address", "http: {listen: \"localhost:80\"}", `: http.listen is "localhost:80": expected an IP address and a port`},
	{"not a network", oneTrunk + "  - {id: b, mode: address, proxy: h, addresses: 10.0.0.0/33}", `: trunks[1].addresses[0] is "10.0.0.0/33": expected an IP address or network`},
	{"network with host bits", "trunks:\n  - {id: b, mode: address, proxy: h, addresses: 10.0.0.1/24}", `: trunks[0].addresses[0] is "10.0.0.1/24": expected 10.0.0.0/24`},
	{"everybody as carrier", "trunks:\n  - {id: b, mode: address, proxy: h, addresses: 0.0.0.0/0}", `: trunks[0].addresses[0] is "0.0.0.0/0": expected a network of the carrier, /8 or smaller`},
	{"unset variable", "users:\n  - {id: a, password: \"${NOT_SET}\"}", `: users[0].password is "***": expected the environment to set NOT_SET`},
	{"bad variable", "node: {name: \"${a-b}\"}", `: node.name is "${a-b}": expected ${NAME}`},
	{"unreadable secret", "users:\n  - {id: a, password: \"file:not-there\"}", `: users[0].password is "***": expected a readable file: open `},
	{"level", "log: {level: waring}", `: log.level is "waring": expected debug, info, warn or error`},
	{"relative folder", "node: {data: ./x}", `: node.data is "./x": expected an absolute path`},
	{"no listener", "sip: {listen: []}", `: sip.listen: expected at least one listener`},
	{"transport", "sip: {listen: [{transport: upd, address: \"127.0.0.1:5060\"}]}", `: sip.listen[0].transport is "upd": expected udp, tcp or tls; did you mean "udp"?`},
	{"no transport", "sip: {listen: [{address: \"127.0.0.1:5060\"}]}", `: sip.listen[0].transport: missing, expected udp, tcp or tls`},
	{"no address", "sip: {listen: [{transport: udp}]}", `: sip.listen[0].address: missing`},
	{"nothing to advertise", "sip: {listen: [{transport: udp, address: \"0.0.0.0:5060\"}]}", `: sip.listen[0].advertise: missing, expected the address that phones and carriers can reach`},
	{"mistyped advertise", "sip: {listen: [{transport: udp, address: \"127.0.0.1:5060\", advertise: 203.0.113}]}", `: sip.listen[0].advertise is "203.0.113": expected a host or host:port`},
	{"listener twice", "sip: {listen: [{transport: udp, address: \"127.0.0.1:5060\"}, {transport: udp, address: \"127.0.0.1:5060\"}]}", `: sip.listen[1].address is "127.0.0.1:5060": SIP needs a port of its own, this one is taken by sip.listen[0].address in line 1`},
	{"HTTP and HTTPS on one port", "http: {listen: \"127.0.0.1:8433\"}", `: https.listen: HTTPS needs a port of its own, this one is taken by http.listen in line 1`},
	{"HTTPS on SIP's port", "https: {listen: \"0.0.0.0:5060\"}", `: sip.listen[1].address: SIP needs a port of its own, this one is taken by https.listen in line 1`},
	{"origin with a path", "http: {origins: [\"https://a.example/x\"]}", `: http.origins[0] is "https://a.example/x": expected http:// or https:// and a host`},
	{"origin of another scheme", "http: {origins: [\"file://\"]}", `: http.origins[0] is "file://": expected http:// or https://`},
	{"certificate alone", "https: {certificate: /a/b.pem}", `: https.key: missing, expected the PEM file that belongs to https.certificate`},
	{"key alone", "https: {key: /a/b.pem}", `: https.certificate: missing, expected the PEM file that belongs to https.key`},
	{"relative certificate", "https: {certificate: b.pem, key: /a/b.pem}", `: https.certificate is "b.pem": expected an absolute path`},
	{"HTTP on SIP's port", "http: {listen: \"127.0.0.1:5060\"}", `: sip.listen[1].address: SIP needs a port of its own, this one is taken by http.listen in line 1`},
	{"SIP among RTP's ports", "sip: {listen: [{transport: udp, address: \"127.0.0.1:20100\"}]}", `: sip.listen[0].address is "127.0.0.1:20100": SIP needs a port outside of media.ports, which are 20000 to 29999`},
	{"registrar's limits", "sip: {register_min: 10m, register_max: 5m}", `: sip.register_max is "5m": expected 10m to 24h`},
	{"domain", "sip: {domain: \"a b\"}", `: sip.domain is "a b": expected a domain name`},
	{"bulk without registration", oneTrunk + "    bulk: true", `: trunks[0].bulk is "true": expected none unless mode is register`},
	{"outbound", oneTrunk + "    outbound: \"h:x\"", `: trunks[0].outbound is "h:x": expected a host or host:port`},
	{"digest", "sip: {digest: [SHA-256, sha256]}", `: sip.digest[1] is "sha256": expected SHA-512-256, SHA-256 or MD5; did you mean "SHA-256"?`},
	{"digest twice", "sip: {digest: [MD5, MD5]}", `: sip.digest[1] is "MD5": stands twice in sip.digest`},
	{"scanners", "sip: {scanners: [sipcli, \"\"]}", `: sip.scanners[1] is "": expected the beginning of a User-Agent`},
	{"simple phones", "sip: {digest_simple: [\"\"]}", `: sip.digest_simple[0] is "": expected the beginning of a User-Agent`},
	{"realm", "sip: {realm: \"\"}", `: sip.realm is "": expected printable text`},
	{"ports reversed", "media: {ports: {min: 30000, max: 20000}}", `: media.ports.max is "20000": expected at least media.ports.min, which is 30000`},
	{"ports too few", "media: {ports: {min: 30000, max: 30002}}", `: media.ports.max is "30002": expected at least media.ports.min + 3`},
	{"low ports", "media: {ports: {min: 80}}", `: media.ports.min is "80": expected 1024 to 65532`},
	{"RTP address families", "media: {addresses: [{bind: 127.0.0.1}, {bind: 127.0.0.2}]}", `: media.addresses[1].name: missing: media.addresses[0] in line 1 is the default of this address family`},
	{"RTP name twice", "media: {addresses: [{name: a, bind: 127.0.0.1}, {name: a, bind: 127.0.0.2}]}", `: media.addresses[1].name is "a": this name, for this address family, is already that of media.addresses[0].name in line 1`},
	{"RTP name", "media: {addresses: [{name: a b, bind: 127.0.0.1}]}", `: media.addresses[0].name is "a b": expected`},
	{"interface without names", "users: [{id: anna, password: planted-secret, interface: lan}]", `: users[0].interface is "lan": no entry of media.addresses has a name`},
	{"unknown interface", "media: {addresses: [{name: lan, bind: 127.0.0.1}]}\n" + oneTrunk + "    interface: wan\n", `: trunks[0].interface is "wan": expected a name of media.addresses: lan`},
	{"interface and media", "media: {addresses: [{name: lan, bind: 127.0.0.1}]}\n" + oneTrunk + "    interface: lan\n    media: {bind: 127.0.0.2}\n", `: trunks[0].interface is "lan": expected either interface or media`},
	{"ptime", oneTrunk + "    ptime: 80ms\n", `: trunks[0].ptime is "80ms": expected 10ms to 60ms`},
	{"ptime's unit", oneTrunk + "    ptime: 20500us\n", `: trunks[0].ptime is "20500us": expected whole milliseconds`},
	{"DSCP of media", "media: {dscp: 64}", `: media.dscp is "64": expected 0 to 63`},
	{"messages of trunks", "sip: {trunk_messages: 49}", `: sip.trunk_messages is "49": expected 50 to 1000000`},
	{"DSCP of SIP", "sip: {dscp: ef}", `: sip.dscp is "ef": expected`},
	{"RTP advertise family", "media: {addresses: [{bind: 127.0.0.1, advertise: \"::1\"}]}", `: media.addresses[0].advertise is "::1": expected the same address family`},
	{"RTP advertise missing", "media: {addresses: [{bind: 0.0.0.0}]}", `: media.addresses[0].advertise: missing`},
	{"no RTP address", "media: {addresses: []}", `: media.addresses: has 0 entries`},
	{"codec", "media: {codecs: [PCMU, G729]}", `: media.codecs[1] is "G729": expected PCMU, PCMA or opus`},
	{"codec in capitals", "media: {codecs: [OPUS]}", `: media.codecs[0] is "OPUS": expected PCMU, PCMA or opus; did you mean "opus"?`},
	{"low port of browsers", "media: {webrtc: {port: 80}}", `: media.webrtc.port is "80": expected 1024 to 65535, or 0`},
	{"browsers among RTP's ports", "media: {webrtc: {port: 20000}}", `: media.webrtc.port is "20000": browsers' media needs a port outside of media.ports`},
	{"browsers on SIP's port", "media: {webrtc: {port: 5060}}", `: media.webrtc.port is "5060": browsers' media needs a port of its own, this one is taken by sip.listen[0].address`},
	{"STUN", "stun: \"turn:h\"", `: stun[0] is "turn:h": expected stun: or stuns: and a host`},
	{"STUN without host", "stun: \"stun:\"", `: stun[0] is "stun:": expected stun: or stuns: and a host`},
	{"STUN, bare IPv6", "stun: \"stun:2001:db8::1\"", `: stun[0] is "stun:2001:db8::1": expected stun:`},
	{"TURN", "turn: {urls: \"turn:h:1?transport=sctp\", secret: planted-secret}", `: turn.urls[0] is "turn:h:1?transport=sctp": expected turn: or turns: and a host`},
	{"TURN without secret", "turn: {urls: \"turn:h\"}", `: turn.secret: missing`},
	{"secret without TURN", "turn: {secret: planted-secret}", `: turn.urls: missing`},
	{"many TURN servers", "turn: {secret: planted-secret, urls: [" + strings.Repeat("\"turn:h\",", 9) + "]}", `: turn.urls: has 9 entries, expected at most 8`},
	{"TURN for ever", "turn: {ttl: 9000h}", `: turn.ttl is "9000h": expected 1m to 168h`},
	{"codec twice", "media: {codecs: [PCMU, PCMU]}", `: media.codecs[1] is "PCMU": stands twice`},
	{"no codec", "media: {codecs: []}", `: media.codecs: expected at least one of PCMU, PCMA or opus`},
	{"srtp", "users: [{id: anna, password: x, srtp: prefere}]", `: users[0].srtp is "prefere": expected never, prefer or require; did you mean "prefer"?`},
	{"trunk refer", "trunks: [{id: t, mode: address, proxy: 192.0.2.1, refer: always}]", `: trunks[0].refer is "always": expected never or prefer`},
	{"trunk srtp", "trunks: [{id: t, mode: address, proxy: 192.0.2.1, srtp: always}]", `: trunks[0].srtp is "always": expected never, prefer or require`},
	{"dtmf", "media: {dtmf: rfc2833}", `: media.dtmf is "rfc2833": expected rfc4733, info, inband or none; did you mean "rfc4733"?`},
	{"user's dtmf", "users: [{id: anna, password: x, dtmf: in-band}]", `: users[0].dtmf is "in-band": expected rfc4733, info, inband or none; did you mean "inband"?`},
	{"trunk's dtmf", "trunks: [{id: t, mode: address, proxy: 192.0.2.1, dtmf: tones}]", `: trunks[0].dtmf is "tones": expected rfc4733, info, inband or none`},
	{"folder of media", "media: {root: media}", `: media.root is "media": expected`},
	{"all files", "media: {root: /}", `: media.root is "/": expected a folder that holds nothing but media`},
	{"records among media", "node: {data: /var/lib/x}\nmedia: {root: /var/lib}", `: media.root is "/var/lib": expected a folder that holds nothing but media`},
	{"scheme", "media: {urls: {schemes: [ftp]}}", `: media.urls.schemes[0] is "ftp": expected file, http, https, s3, rtsp or rtsps`},
	{"not a network", "media: {urls: {private: [10.1.2.3/24]}}", `: media.urls.private[0] is "10.1.2.3/24": expected a network or an address, such as 10.1.2.0/24`},
	{"size of files", "media: {urls: {max_size: 1KiB}}", `: media.urls.max_size is "1KiB": expected`},
	{"size of all", "media: {urls: {max_all: 1MiB}}", `: media.urls.max_all is "1MiB": expected`},
	{"size of recordings", "media: {urls: {max_files: 1MiB}}", `: media.urls.max_files is "1MiB": expected 1GiB to 1024TiB`},
	{"free space", "media: {urls: {min_free: 17TiB}}", `: media.urls.min_free is "17TiB": expected`},
	{"stall of servers", "media: {urls: {stall: 1ms}}", `: media.urls.stall is "1ms": expected 100ms to 5m`},
	{"no object store", "media: {urls: {schemes: [s3]}}", `: media.urls.s3.endpoint: missing: media.urls.schemes has s3; expected http:// or https:// and a host`},
	{"object store", "media: {urls: {s3: {endpoint: \"ftp://x\", key: k, secret: s}}}", `: media.urls.s3.endpoint is "ftp://x": expected http:// or https:// and a host or host:port alone`},
	{"no key", "media: {urls: {s3: {endpoint: \"http://x\"}}}", `: media.urls.s3.key: missing`},
	{"timeout", "media: {timeout: 1s}", `: media.timeout is "1s": expected 5s to 1h`},
	{"unknown tariff", "tariffs: [{id: retail}]\nusers: [{id: anna, password: x, tariff: retial}]", `: users[0].tariff is "retial": there is no tariff "retial", expected retail; did you mean "retail"?`},
	{"tariff's zone", "tariffs: [{id: retail, zone: Mars}]", `: tariffs[0]: zone "Mars": expected a name of the IANA database such as Europe/Berlin`},
	{"tariff's window", "tariffs: [{id: retail, windows: [{name: a, times: [Mo 1]}]}]", `: tariffs[0]: times "Mo 1": expected days and hours such as Mon-Fri 08:00-18:00`},
	{"tariff's rounding", "tariffs: [{id: retail, rounding: halfup}]", `: tariffs[0].rounding is "halfup": expected half-up, half-even, up or down; did you mean "half-up"?`},
	{"tariff's maximum", "tariffs: [{id: retail, max_cost: \"1,5\"}]", `: tariffs[0].max_cost is "1,5": expected a decimal number such as 0.0123`},
	{"currency", "rating: {currency: Euro}", `: rating.currency is "Euro": expected three letters of ISO 4217, such as EUR`},
	{"loss", "rating: {loss: never}", `: rating.loss is "never": expected allow or refuse`},
	{"unknown tariffs", "tariffs: [{id: retail}]\ntenants: [{id: default, tariff_in: x, tariff_internal: y}]", `: tenants[0].tariff_internal is "y": there is no tariff "y", expected retail`},
	{"exchange", "rating: {exchange: [{currency: USD, rate: \"0\"}]}", `: rating.exchange[0].rate is "0": expected a decimal number above 0`},
	{"run without a tariff", "rating: {runs: [{id: agent}]}", `: rating.runs[0].tariff: missing, expected the id of a tariff`},
	{"webhook without TLS", "webhooks: [{id: a, url: \"http://h/\", secret: \"${HOOK_SECRET}\"}]", `: webhooks[0].url is "***": expected https://`},
	{"webhook inside", "webhooks: [{id: a, url: \"https://169.254.169.254/\", secret: \"${HOOK_SECRET}\"}]", `: webhooks[0].url is "***": 169.254.169.254 isn't an address of the public Internet`},
	{"webhook's secret in the file", "webhooks: [{id: a, url: \"https://h/\", secret: planted-secret-that-is-long-enough}]", `: webhooks[0].secret is "***": expected ${NAME} or file:PATH`},
	{"webhook's short secret", "webhooks: [{id: a, url: \"https://h/\", secret: \"${SHORT}\"}]", `: webhooks[0].secret is "***": has`},
	{"webhook without secret", "webhooks: [{id: a, url: \"https://h/\"}]", `: webhooks[0].secret: missing`},
	{"webhook's events", "webhooks: [{id: a, url: \"https://h/\", secret: \"${HOOK_SECRET}\", events: [strat]}]", `: webhooks[0].events[0] is "strat": expected start, answer, end or rated; did you mean "start"?`},
	{"webhook without database", "billing: {database: none}\nwebhooks: [{id: a, url: \"https://h/\", secret: \"${HOOK_SECRET}\"}]", `: billing.database is "***": expected a database`},
	{"webhook twice", "webhooks: [{id: a, url: \"https://h/\", secret: \"${HOOK_SECRET}\"}, {id: a, url: \"https://h/\", secret: \"${HOOK_SECRET}\"}]", `: webhooks[1].id is "a": this id`},
	{"file of calls", "billing: {calls_file: {path: calls.ndjson}}", `: billing.calls_file.path is "calls.ndjson": expected an absolute path`},
	{"database", "billing: {database: mysql://u:planted-secret@h/d}", `: billing.database is "***": expected auto, none or postgres://`},
	{"reserve", "billing: {reserve: 1GiB}", `: billing.min_free: expected at least billing.reserve, which is 1GiB`},
	{"message size", "rpc: {max_message: 1KiB}", `: rpc.max_message is "1KiB": expected 64KiB to 64MiB`},
	{"sessions kept", "rpc: {keep: 48h}", `: rpc.keep is "48h": expected 1s to 24h`},
	{"ICE host with a port", "rpc: {ice_hosts: [turn.example.com, \"127.0.0.1:3478\"]}", `: rpc.ice_hosts[1] is "127.0.0.1:3478": expected an IP address or a domain name`},
	{"no sessions", "rpc: {sessions: 0}", `: rpc.sessions is "0": expected 1 to 1000000`},
	{"token without secret", "tokens:\n  - {id: a, roles: read}", `: tokens[0].secret: missing, expected a secret or sha256`},
	{"token with both", oneToken + "    sha256: planted-secret", `: tokens[0].sha256 is "***": expected either secret or sha256`},
	{"short token", "tokens:\n  - {id: a, roles: read, secret: planted-secret}", `: tokens[0].secret is "***": expected 24 to 128 letters, digits and -._~`},
	{"token with a blank", "tokens:\n  - {id: a, roles: read, secret: planted-secret and twenty more}", `: tokens[0].secret is "***": expected 24 to 128 letters`},
	{"token's hash", "tokens:\n  - {id: a, roles: read, sha256: planted-secret}", `: tokens[0].sha256 is "***": expected 64 hexadecimal digits`},
	{"partial record", "billing: {partial_after: 5s}", `: billing.partial_after is "5s": expected 1m to 24h`},
	{"retention", "billing: {retention: {events: 3}}", `: billing.retention.events is "3": expected 7 to 36500 days, or 0: for ever`},
	{"export of retention", "billing: {retention: {export: old}}", `: billing.retention.export is "old": expected an absolute path of a folder, or none`},
	{"retention of calls", "billing: {retention: {calls: 30}}", `: billing.retention.calls is "30": expected at least as many days as events and quality have`},
	{"token without role", "tokens:\n  - {id: a, secret: planted-secret-0123456789abcdef}", `: tokens[0].roles: missing, expected one or more of read, control, billing or admin`},
	{"role", oneToken + "  - {id: b, secret: planted-secret-0123456789abcdef, roles: [read, contol]}", `: tokens[1].roles[1] is "contol": expected read, control, billing or admin; did you mean "control"?`},
	{"token twice", oneToken + "  - {id: crm, secret: planted-secret-0123456789abcdef, roles: read}", `: tokens[1].id is "crm": this id is already that of tokens[0].id in line 2`},
	{"secret twice", oneToken + "  - {id: b, secret: planted-secret-0123456789abcdef, roles: read}", `: tokens[1].secret is "***": this secret is already that of tokens[0].secret in line 3`},
	{"token's end", oneToken + "    expires: tomorrow", `: tokens[0].expires is "tomorrow": expected a time such as 2030-12-31T23:59:59Z (RFC 3339)`},
	{"token's quota", oneToken + "    requests: -1", `: tokens[0].requests is "-1": expected 0 to 1000000`},
	{"calls", "limits: {calls: 0}", `: limits.calls is "0": expected 1 to 100000`},
	{"no id", "users:\n  - password: planted-secret", `:2:5: users[0].id: missing, expected 1 to 64 letters`},
	{"bad id", "users:\n  - {id: a b, password: planted-secret}", `: users[0].id is "a b": expected 1 to 64 letters`},
	{"id twice", oneUser + "  - {id: anna, password: planted-secret}", `:5:10: users[1].id is "anna": this id is already that of users[0].id in line 2`},
	{"number twice", oneUser + "  - {id: ben, password: planted-secret, numbers: 401}", `:5:50: users[1].numbers[0] is "401": this login or number is already that of users[0].numbers[0] in line 4`},
	{"login is a number", oneUser + "  - {id: ben, login: 401, password: planted-secret}", `: users[1].login is "401": this login or number is already that of users[0].numbers[0] in line 4`},
	{"number with blanks", "users:\n  - {id: a, password: planted-secret, numbers: [030 12]}", `: users[0].numbers[0] is "030 12": expected a number to dial`},
	{"no password", "users:\n  - id: a", `:2:5: users[0].password: missing, expected a password or ha1`},
	{"empty password", "users:\n  - id: a\n    password:", `: users[0].password: is empty, expected a secret`},
	{"password and ha1", "users:\n  - {id: a, password: planted-secret, ha1: planted-secret}", `: users[0].ha1 is "***": expected either password or ha1`},
	{"ha1 of SHA-256", "users:\n  - {id: a, ha1: {MD5: 0123456789abcdef0123456789abcdef, SHA-256: planted-secret}}", `: users[0].ha1.SHA-256 is "***": expected 64 hexadecimal digits: the SHA-256 of login:realm:password`},
	{"ha1 of another", "users:\n  - {id: a, ha1: {SHA-1: planted-secret}}", `: users[0].ha1.SHA-1: unknown key, expected one of MD5, SHA-256, SHA-512-256`},
	{"ha1 that digest needs", "sip: {digest: [SHA-256, MD5]}\nusers:\n  - {id: a, ha1: 0123456789abcdef0123456789abcdef}", `: users[0].ha1 is "***": has none for SHA-256, expected one for each algorithm of sip.digest`},
	{"no digest for all", "users:\n  - {id: a, ha1: 0123456789abcdef0123456789abcdef}\n  - {id: b, ha1: {SHA-512-256: planted-secret}}", `: sip.digest: missing: there is neither SHA-256 nor MD5 that each user's ha1 could answer`},
	{"trunk's ha1 without realm", "trunks:\n  - {id: a, mode: register, registrar: h, user: u, ha1: 0123456789abcdef0123456789abcdef}", `: trunks[0].realm: missing, expected the realm of the carrier's challenges`},
	{"trunk's ha1 and password", "trunks:\n  - {id: a, mode: register, registrar: h, user: u, password: planted-secret, realm: h, ha1: {MD5: planted-secret}}", `: trunks[0].ha1: expected either password or ha1, not both`},
	{"trunk's ha1", "trunks:\n  - {id: a, mode: register, registrar: h, user: u, realm: h, ha1: planted-secret}", `: trunks[0].ha1 is "***": expected 32 hexadecimal digits: the MD5 of auth_user:realm:password`},
	{"ha1", "users:\n  - {id: a, ha1: planted-secret}", `: users[0].ha1 is "***": expected 32 hexadecimal digits`},
	{"no mode", "trunks:\n  - id: a", `: trunks[0].mode: missing, expected register, address or carrier`},
	{"mode", "trunks:\n  - {id: a, mode: registered}", `: trunks[0].mode is "registered": expected register, address or carrier; did you mean "register"?`},
	{"no registrar", "trunks:\n  - {id: a, mode: register, user: u, password: planted-secret}", `: trunks[0].registrar: missing, expected the host that we register at in mode register`},
	{"no account", "trunks:\n  - {id: a, mode: register, registrar: h, password: planted-secret}", `: trunks[0].user: missing`},
	{"trunk without password", "trunks:\n  - {id: a, mode: register, registrar: h, user: u}", `: trunks[0].password: missing`},
	{"no addresses", "trunks:\n  - {id: a, mode: address, proxy: h}", `: trunks[0].addresses: missing`},
	{"registrar in mode address", oneTrunk + "    registrar: h", `: trunks[0].registrar is "h": expected none in mode address`},
	{"registrar", register + ", proxy: \"h:99999\"}", `: trunks[0].proxy is "h:99999": expected a host or host:port, but port "99999" isn't 1 to 65535`},
	{"expires", register + ", expires: 1s}", `: trunks[0].expires is "1s": expected 1m to 24h`},
	{"overlapping trunks", oneTrunk + "  - {id: b, mode: address, proxy: h, addresses: 198.51.100.0/24}", `: trunks[1].addresses[0] is "198.51.100.0/24": overlaps trunks[0].addresses[0] in line 5`},
	{"from", register + ", from: fixed}", `: trunks[0].from_number: missing, expected the number that stands in From`},
	{"from_number unused", register + ", from_number: \"1\"}", `: trunks[0].from_number is "1": expected none unless from is fixed`},
	{"country", "sip: {country: Germany}", `: sip.country is "Germany": expected two letters of ISO 3166-1`},
	{"trunk's country", register + ", numbers: {country: XY}}", `: trunks[0].numbers.country is "XY": expected two letters of ISO 3166-1, such as DE`},
	{"national without a country", register + ", numbers: {format: national}}", `: trunks[0].numbers.country: missing, expected the country whose national numbers the carrier takes`},
	{"format", register + ", numbers: {format: E164}}", `: trunks[0].numbers.format is "E164": expected as-is, e164, plain, 00 or national; did you mean "e164"?`},
	{"form", register + ", numbers: {uri: tell}}", `: trunks[0].numbers.uri is "tell": expected sip, phone or tel; did you mean "tel"?`},
	{"context", register + ", numbers: {context: \"+4x\"}}", `: trunks[0].numbers.context is "+4x": expected + and digits, such as +49, or a domain`},
	{"rule's expression", register + ", numbers: {in: {called: [{match: \"/(/\", strip: 1}]}}}", `: trunks[0].numbers.in.called[0].match is "/(/": expected a regular expression: error parsing regexp: missing closing )`},
	{"rule's group", register + ", numbers: {out: {caller: [{match: 0*, strip: 1}, {match: /0(.*)/, replace: +49$2}]}}}", `: trunks[0].numbers.out.caller[1].replace is "+49$2": has $2, but match /0(.*)/ has 1 groups`},
	{"rule that changes nothing", register + ", numbers: {out: {called: [{match: 0*}]}}}", `: trunks[0].numbers.out.called[0].strip: missing, expected strip, prefix or replace`},
	{"rule's strip", register + ", numbers: {out: {called: [{match: 0*, strip: 99}]}}}", `: trunks[0].numbers.out.called[0].strip is "99": expected 0 to 32 characters`},
	{"rule's prefix", register + ", numbers: {out: {called: [{match: 0*, prefix: a b}]}}}", `: trunks[0].numbers.out.called[0].prefix is "a b": expected digits, +, * or #`},
	{"rule of two kinds", register + ", numbers: {out: {called: [{match: 0*, prefix: \"1\", replace: \"2\"}]}}}", `: trunks[0].numbers.out.called[0].replace is "2": expected either replace, or strip and prefix`},
	{"caller's header", register + ", trusted: true, caller: {read: [pai, paid]}}", `: trunks[0].caller.read[1] is "paid": expected pai, ppi, rpid or from; did you mean "pai"?`},
	{"caller's header twice", register + ", caller: {send: [pai, pai]}}", `: trunks[0].caller.send[1] is "pai": stands twice in trunks[0].caller.send`},
	{"caller of who isn't trusted", register + ", caller: {read: [pai]}}", `: trunks[0].caller.read: expected none unless trusted is true`},
	{"privacy", register + ", caller: {privacy: never}}", `: trunks[0].caller.privacy is "never": expected asked or always`},
	{"screening", register + ", caller: {screen: all}}", `: trunks[0].caller.numbers: missing, expected the numbers that may be shown`},
	{"numbers without screening", register + ", caller: {numbers: +4930*}}", `: trunks[0].caller.numbers: expected none unless screen is all`},
	{"screened numbers", register + ", caller: {screen: all, numbers: anna}}", `: trunks[0].caller.numbers[0] is "anna": expected a number, or the beginning of numbers followed by *`},
	{"names", register + ", caller: {names: yes}}", `: trunks[0].caller.names is "yes": expected send or none`},
	{"header of ours", register + ", headers: {in: [Via]}}", `: trunks[0].headers.in[0] is "Via": expected X-NAME, X-* for all of those, User-to-User`},
	{"header with a line end", register + ", headers: {out: [\"X-a\\r\\nVia\"]}}", `: trunks[0].headers.out[0] is`},
	{"Identity of who isn't trusted", register + ", headers: {in: [identity]}}", `: trunks[0].headers.in[0] is "identity": expected none unless trusted is true`},
	{"diversion", register + ", headers: {diversion: history}}", `: trunks[0].headers.diversion[0] is "history": expected diversion or history-info`},
	{"transcoding", register + ", transcode: no}", `: trunks[0].transcode is "no": expected allow or never`},
	{"user's transcoding", "users: [{id: anna, password: x, transcode: of}]", `: users[0].transcode is "of": expected allow or never`},
	{"hops", "limits: {hops: 1}", `: limits.hops is "1": expected 2 to 255`},
	{"full", "limits: {full: 600}", `: limits.full is "600": expected 503 or 486`},
	{"full trunk", register + ", full: 480}", `: trunks[0].full is "480": expected 503 or 486`},
	{"diversions", "limits: {diversions: 0}", `: limits.diversions is "0": expected 1 to 10`},
	{"trunk on SIP's port", register + ", bind: \"127.0.0.1:5060\"}", `: trunks[0].bind is "127.0.0.1:5060": the trunk's SIP needs a port of its own`},
	{"no hops", "routes:\n  - id: r", `: routes[0].to: missing, expected at least one hop`},
	{"hop of nothing", "routes:\n  - {id: r, to: [{ring: 5s}]}", `: routes[0].to[0]: expected either trunk, user, app or group`},
	{"hop of two things", oneTrunk + oneApp + "routes:\n  - {id: r, to: [{trunk: telco, app: ivr}]}", `: routes[0].to[0]: expected either trunk, user, app or group`},
	{"unknown app", oneApp + "routes:\n  - {id: r, to: [{app: ivrr}]}", `: routes[0].to[0].app is "ivrr": there is no app "ivrr", expected ivr; did you mean "ivr"?`},
	{"unknown app as source", oneTrunk + "routes:\n  - {id: r, source: \"app:x\", to: [{trunk: telco}]}", `: routes[0].source[0] is "app:x": there is no app "x"`},
	{"other tenant's app", "apps:\n  - {id: ivr, tenant: y}\nroutes:\n  - {id: r, to: [{app: ivr}]}", `: routes[0].to[0].app is "ivr": app "ivr" is of tenant "y", expected one of tenant "default"`},
	{"app twice", oneApp + "  - id: ivr", `: apps[1].id is "ivr": this id is already that of apps[0].id in line 2`},
	{"app's caller", "apps:\n  - {id: a, caller_id: \"1 2\"}", `: apps[0].caller_id is "1 2": expected a number or a SIP user name`},
	{"app's name", "apps:\n  - {id: a, caller_name: 'a\"b'}", `: apps[0].caller_name is "a\"b": expected printable text`},
	{"app's stream without a URL", "apps:\n  - {id: a, stream: {rate: 8000}}", `: apps[0].stream.url: expected ws:// or wss:// with a host`},
	{"app's stream elsewhere", "apps:\n  - {id: a, stream: {url: \"http://h/\"}}", `: apps[0].stream.url is "http://h/": expected ws:// or wss:// with a host`},
	{"app's encoding", "apps:\n  - {id: a, stream: {url: \"ws://h/\", encoding: mp3}}", `: apps[0].stream.encoding is "mp3": expected pcm16, pcmu or pcma`},
	{"app's rate", "apps:\n  - {id: a, stream: {url: \"ws://h/\", rate: 11025}}", `: apps[0].stream.rate is "11025": expected 8000, 16000 or 24000`},
	{"app's parameter", "apps:\n  - {id: a, stream: {url: \"ws://h/\", parameters: [de]}}", `: apps[0].stream.parameters[0] is "de": expected name=value`},
	{"app's limit", "apps:\n  - {id: a, max_calls: -1}", `: apps[0].max_calls is "-1": expected`},
	{"user's rate", "users:\n  - {id: a, password: abcdefgh, max_rate: -1}", `: users[0].max_rate is "-1": expected 0.01 to 10000 calls a second`},
	{"trunk's rate", "trunks:\n  - {id: a, mode: address, proxy: h, addresses: [192.0.2.1], out: {max_rate: fast}}", `: trunks[0].out.max_rate is "fast": expected`},
	{"trunk's bound", "trunks:\n  - {id: a, mode: address, proxy: h, addresses: [192.0.2.1], in: {max_calls: -2}}", `: trunks[0].in.max_calls is "-2": expected`},
	{"session of a minute", "sip: {session: 1m}", `: sip.session is "1m": expected`},
	{"TLS without transport", "trunks:\n  - {id: a, mode: address, proxy: h, addresses: [192.0.2.1], tls: {name: h}}", `: trunks[0].tls: expected none unless transport is tls`},
	{"clients without authority", "trunks:\n  - {id: a, mode: address, proxy: h, transport: tls, tls: {clients: [h]}}", `: trunks[0].tls.ca: missing, expected who may vouch for clients`},
	{"OPTIONS too often", "trunks:\n  - {id: a, mode: address, proxy: h, addresses: [192.0.2.1], options: 1s}", `: trunks[0].options is "1s": expected`},
	{"hop twice", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telco}, {trunk: telco}]}", `: routes[0].to[1]: is the same as to[0]`},
	{"unknown trunk", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telko}]}", `:7:26: routes[0].to[0].trunk is "telko": there is no trunk "telko", expected telco; did you mean "telco"?`},
	{"unknown user", "routes:\n  - {id: r, to: [{user: anna}]}", `: routes[0].to[0].user is "anna": there is no user "anna", expected nothing (there is none)`},
	{"other tenant's trunk", oneTrunk + "routes:\n  - {id: r, tenant: x, to: [{trunk: telco}]}", `: routes[0].to[0].trunk is "telco": trunk "telco" is of tenant "default", expected one of tenant "x"`},
	{"source", oneTrunk + "routes:\n  - {id: r, source: users, to: [{trunk: telco}]}", `: routes[0].source[0] is "users": expected any, user, trunk, app, user:ID, trunk:ID or app:ID; did you mean "user"?`},
	{"unknown source", oneTrunk + "routes:\n  - {id: r, source: \"user:x\", to: [{trunk: telco}]}", `: routes[0].source[0] is "user:x": there is no user "x"`},
	{"regular expression", oneTrunk + "routes:\n  - {id: r, number: /(/, to: [{trunk: telco}]}", `: routes[0].number[0] is "/(/": expected a regular expression: error parsing regexp: missing closing )`},
	{"half a regular expression", oneTrunk + "routes:\n  - {id: r, number: /12, to: [{trunk: telco}]}", `: routes[0].number[0] is "/12": expected a regular expression between two slashes`},
	{"pattern", oneTrunk + "routes:\n  - {id: r, number: 1 2, to: [{trunk: telco}]}", `: routes[0].number[0] is "1 2": expected a number, a prefix such as +49*`},
	{"missing group", oneTrunk + "routes:\n  - {id: r, number: \"/0(.*)/\", replace: +49$2, to: [{trunk: telco}]}", `: routes[0].replace is "+49$2": has $2, but /0(.*)/ has 1 groups`},
	{"group of a prefix", oneTrunk + "routes:\n  - {id: r, number: 0*, replace: +49$1, to: [{trunk: telco}]}", `: routes[0].replace is "+49$1": has $1, but 0* isn't a regular expression`},
	{"replace and strip", oneTrunk + "routes:\n  - {id: r, number: 0*, replace: 1, strip: 1, to: [{trunk: telco}]}", `: routes[0].replace is "1": expected either replace, or strip and prefix`},
	{"failover word", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telco, failover: busy}]}", `: routes[0].to[0].failover[0] is "busy": expected retry, none, a SIP status of 300 to 699, or a class such as 5xx`},
	{"failover status", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telco, failover: [180]}]}", `: routes[0].to[0].failover[0] is "180": expected a SIP status of 300 to 699`},
	{"shadowed route", oneTrunk + "routes:\n  - {id: r, number: +49*, to: [{trunk: telco}]}\n  - {id: s, source: user, number: [+4930*, +4911], to: [{trunk: telco}]}", `:8:5: routes[1]: is never reached: routes[0] in line 7 takes the same calls before it`},
	{"shadowed by a user", oneUser + oneTrunk + "routes:\n  - {id: r, number: 401, to: [{trunk: telco}]}", `: routes[0]: is never reached: users[0] in line 2 takes the same calls before it`},
	{"emergency number", "emergency: {numbers: sos}", `: emergency.numbers[0] is "sos": expected a number to dial`},
	{"emergency by two", oneUser + oneTrunk + "emergency: {to: [{trunk: telco, user: anna}]}", `: emergency.to[0]: expected either trunk, user or group`},
	{"emergency by nobody", oneTrunk + "emergency: {to: [{trunk: telko}]}", `: emergency.to[0].trunk is "telko": there is no trunk "telko", expected telco`},
	{"no emergency numbers", oneTrunk + "emergency: {numbers: [], to: [{trunk: telco}]}", `: emergency.numbers: is empty`},
	{"destination", "outbound: {deny: [\"+49*\", +49-30]}", `: outbound.deny[1] is "+49-30": expected the beginning of a number, such as +49900`},
	{"preconditions", oneTrunk + "    preconditions: offered\n    reliable: never", `: trunks[0].preconditions is "offered": needs provisional responses that are reliable: expected reliable to be offered or required`},
	{"preconditions by name", oneTrunk + "    preconditions: always", `: trunks[0].preconditions is "always": expected answered, offered or never`},
	{"emergency without", "emergency: {without: nothing}", `: emergency.without is "nothing": expected refuse or alternative`},
	{"destination by name", "outbound: {allow: [home, abroad]}", `: outbound.allow[1] is "abroad": expected the beginning of a number, such as +49900, or home, or any`},
	{"premium", "outbound: {premium: deny}", `: outbound.premium is "deny": expected refuse or allow`},
	{"spend", "users:\n  - {id: a, password: abcdefgh, outbound: {spend_day: 5 EUR}}", `: users[0].outbound.spend_day is "5 EUR": expected a decimal number`},
	{"talk", "outbound: {talk_hour: 1ms}", `: outbound.talk_hour is "1ms": expected 1s to`},
	{"lock", "outbound: {lock_after: -1}", `: outbound.lock_after is "-1": expected 0 to 1000`},
	{"tenant twice", "tenants:\n  - id: a\n  - id: a", `: tenants[1].id is "a": this id is already that of tenants[0].id`},
	{"order of routes", "routing: {order: prefix}", `: routing.order is "prefix": expected listed or longest`},
	{"zone", oneTrunk + "routes:\n  - {id: r, hours: {zone: Berlin, week: Mon}, to: [{trunk: telco}]}", `: routes[0].hours.zone is "Berlin": expected a time zone of the IANA database`},
	{"zone without times", oneTrunk + "routes:\n  - {id: r, hours: {zone: Europe/Berlin}, to: [{trunk: telco}]}", `: routes[0].hours.week: missing, expected times in that zone`},
	{"times of the week", oneTrunk + "routes:\n  - {id: r, hours: {week: [Mon-Fri 8-18]}, to: [{trunk: telco}]}", `: routes[0].hours.week[0] is "Mon-Fri 8-18": expected days and a time, such as Mon-Fri 08:00-18:00`},
	{"holiday", oneTrunk + "routes:\n  - {id: r, hours: {never: 31-12}, to: [{trunk: telco}]}", `: routes[0].hours.never[0] is "31-12": expected a date such as 2026-12-24`},
	{"order of hops", oneTrunk + "routes:\n  - {id: r, by: price, to: [{trunk: telco}]}", `: routes[0].by is "price": expected listed or cost`},
	{"cost", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telco, cost: \"1,5\"}]}", `: routes[0].to[0].cost is "1,5": expected a decimal number such as 0.0135`},
	{"weight", oneTrunk + "routes:\n  - {id: r, to: [{trunk: telco, weight: -1}]}", `: routes[0].to[0].weight is "-1": expected 0 to 1000`},
	{"trunk's failover", register + ", failover: {later: [7xx]}}", `: trunks[0].failover.later[0] is "7xx": expected retry, none, a SIP status of 300 to 699, or a class`},
	{"put aside for long", register + ", failover: {aside: 1h}}", `: trunks[0].failover.aside is "1h": expected 1s to 5m`},
	{"called", register + ", called: contact}", `: trunks[0].called is "contact": expected uri or to`},
	{"redirects", register + ", redirects: follow}", `: trunks[0].redirects is "follow": expected refuse or own`},
	{"group without members", "groups:\n  - {id: g}", `: groups[0].members: has 0 entries, expected 1 to 32`},
	{"member", oneUser + "groups:\n  - {id: g, members: [{user: ann}]}", `: groups[0].members[0].user is "ann": there is no user "ann", expected anna`},
	{"member of two kinds", oneUser + oneTrunk + "groups:\n  - {id: g, members: [{user: anna, trunk: telco}]}", `: groups[0].members[0]: expected either user, or trunk and number`},
	{"member without number", oneTrunk + "groups:\n  - {id: g, members: [{trunk: telco}]}", `: groups[0].members[0].number: expected the number to dial at the trunk`},
	{"strategy", oneUser + "groups:\n  - {id: g, strategy: serial, members: [{user: anna}]}", `: groups[0].strategy is "serial": expected parallel, sequential or random`},
	{"group's number", oneUser + "groups:\n  - {id: g, numbers: 401, members: [{user: anna}]}", `: groups[0].numbers[0] is "401": this login or number is already that of users[0]`},
	{"unknown group", oneTrunk + "routes:\n  - {id: r, to: [{group: g}]}", `: routes[0].to[0].group is "g": there is no group "g"`},
	{"forwarded to nobody", "users:\n  - {id: a, password: abcdefgh, forward: {busy: \"user:b\"}}", `: users[0].forward.busy is "user:b": there is no user "b"`},
	{"forwarded to oneself", "users:\n  - {id: a, password: abcdefgh, forward: {always: \"user:a\"}}", `: users[0].forward.always is "user:a": expected somebody else`},
	{"forwarded to a URI", "users:\n  - {id: a, password: abcdefgh, forward: {offline: \"sip:x@y\"}}", `: users[0].forward.offline is "sip:x@y": expected user:ID, group:ID or a number`},
	{"forwarded after", "users:\n  - {id: a, password: abcdefgh, forward: {after: 5s}}", `: users[0].forward.after is "5s": expected none without no_answer`},
	{"route id of a user's", oneTrunk + "routes:\n  - {id: user-a, to: [{trunk: telco}]}", `: routes[0].id is "user-a": expected another beginning`},
	{"demo's names", "demo: true\nusers:\n  - {id: bob, password: planted-secret}", `: users[0]: bob belongs to the demo`},
}

func TestEveryKindOfMistakeIsTold(t *testing.T) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			_, d := parseConfig("f.yaml", []byte(m.file), testEnv)
			all := d.wrong().Error() + "\n"
			if want := m.want; !strings.Contains(all, want) || !strings.HasPrefix(all, "f.yaml:") {
				t.Errorf("got\n%swant\nf.yaml%s", all, want)
			}
			if strings.Contains(all, "planted-secret") {
				t.Errorf("a secret is shown:\n%s", all)
			}
		})
	}
}

func TestAllMistakesAreToldInOrder(t *testing.T) {
	_, d := parseConfig("f.yaml", []byte("log:\n  level: loud\nsip:\n  relm: x\nlimits:\n  calls: -3\n  ring: 1\n"), testEnv)
	var lines []int
	for _, m := range d.wrong() {
		lines = append(lines, m.Line)
	}
	if want := []int{2, 4, 6, 7}; !slices.Equal(lines, want) {
		t.Errorf("mistakes in lines %v, want %v", lines, want)
	}
}

func TestGoodConfigIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := `
sip:
  listen: [{transport: udp, address: "127.0.0.1:${PORT}"}]
users:
  - id: anna
    password: file:pw
    numbers: 0049
    caller_name: $${PW}
  - {id: ben, password: "x${PW}y"}
trunks:
  - {id: telco, mode: register, registrar: "sip.example.com:5070", user: u, password: p, addresses: [10.0.0.1, "2001:db8::/32"]}
apps: [{id: ivr}]
routes:
  - {id: out, source: user, to: [trunk: telco]}
  - {id: in, source: trunk, to: [app: ivr, user: ben]}
`
	c, d := parseConfig(filepath.Join(dir, "f.yaml"), []byte(file), testEnv)
	if m := d.wrong(); len(m) > 0 {
		t.Fatal(m)
	}
	c.complete()
	anna, telco, out := c.Users[0], c.Trunks[0], c.Routes[0]
	for _, x := range []struct{ what, got, want string }{
		{"listener", c.SIP.Listen[0].Address.String(), "127.0.0.1:5062"},
		{"password from a file", string(anna.Password), "from-a-file"},
		{"number as written", anna.Numbers[0], "0049"},
		{"caller id", anna.CallerID, "0049"},
		{"escaped variable", anna.CallerName, "${PW}"},
		{"variable inside", string(c.Users[1].Password), "xplanted-secrety"},
		{"login", c.Users[1].Login, "ben"},
		{"tenant", anna.Tenant, "default"},
		{"codecs", strings.Join(anna.Codecs, " "), "PCMU PCMA"},
		{"proxy", telco.Proxy, "sip.example.com:5070"},
		{"domain", telco.Domain, "sip.example.com"},
		{"auth user", telco.AuthUser, "u"},
		{"single address", telco.Addresses[0].String(), "10.0.0.1/32"},
		{"number", out.Number[0], "*"},
		{"failover", strings.Join(telco.Failover.Next, " "), "retry 5xx"},
		{"app's tenant", c.Apps[0].Tenant, "default"},
		{"app's failover", strings.Join(c.Routes[1].To[0].Failover, " "), "retry 480"},
		{"ring", out.To[0].Ring.String(), "1m0s"},
		{"billing folder", c.Billing.Dir, filepath.Join(c.Node.Data, "billing")},
		{"secret in a dump", c.Users[1].Password.String(), "***"},
	} {
		if x.got != x.want {
			t.Errorf("%s is %q, want %q", x.what, x.got, x.want)
		}
	}
}

func TestNoFileIsTheDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := loadConfig("", dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadConfig("", dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first, again) {
		t.Error("a second start has other settings than the first")
	}
	alice, bob, demo := first.Users[0], first.Users[1], first.Trunks[0]
	if len(alice.Password) != 16 || alice.Password == bob.Password {
		t.Errorf("generated passwords have %d characters and equal each other: %v", len(alice.Password), alice.Password == bob.Password)
	}
	if demo.Proxy != demoCarrier || demo.Mode != "carrier" || demo.User != demoUser || first.Node.Data != dir {
		t.Errorf("demo trunk %+v, data in %s", demo, first.Node.Data)
	}
	carrier, err := demoPassword(dir, demoUser)
	if err != nil || carrier != demo.Password {
		t.Errorf("the carrier has another password than the trunk (%v)", err)
	}
	info, err := os.Stat(filepath.Join(dir, "demo", "alice.password"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the password's file is %v (%v), want 0600", info.Mode(), err)
	}
	if info, err = os.Stat(filepath.Join(dir, "demo")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the passwords' folder is %v (%v), want 0700", info.Mode(), err)
	}
	if !first.SIP.Listen[0].Address.Addr().IsLoopback() || !first.HTTP.Listen.Addr().IsLoopback() {
		t.Error("the first start listens beyond loopback")
	}
}

func TestGeneratedPasswordIsOneForAll(t *testing.T) {
	dir, got := t.TempDir(), make(chan Secret)
	for range 8 {
		go func() {
			pw, err := demoPassword(dir, "alice")
			if err != nil {
				t.Error(err)
			}
			got <- pw
		}()
	}
	first := <-got
	for range 7 {
		if pw := <-got; pw != first || pw == "" {
			t.Error("two that asked at once got two passwords")
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	_, err := loadConfig(filepath.Join(t.TempDir(), "none.yaml"), "")
	if !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "none.yaml") {
		t.Error(err)
	}
}

var switchedOff = regexp.MustCompile(`(?m)^( *)#([^#].*)$`)

const sample = "../../deploy/patchbay.yaml"

func TestSampleIsTheDefaults(t *testing.T) {
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	c, d := parseConfig(sample, b, testEnv)
	if m := d.wrong(); len(m) > 0 {
		t.Fatal(m)
	}
	if want := defaults(); !reflect.DeepEqual(c, want) {
		t.Errorf("the sample as it is says\n%+v\nthe defaults are\n%+v", c, want)
	}
}

func TestSampleHasEveryKey(t *testing.T) {
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	c, d := parseConfig(sample, switchedOff.ReplaceAll(b, []byte("$1$2")), testEnv)
	if m := d.wrong(); len(m) > 0 {
		t.Fatal(m) // a key that isn't in the structs is among these
	}
	index := regexp.MustCompile(`\[\d+\]`)
	written := map[string]bool{}
	for f := range d.places {
		written[index.ReplaceAllString(f, "")] = true
	}
	var walk func(reflect.Type, string)
	walk = func(s reflect.Type, prefix string) {
		for f := range s.Fields() {
			name, ft := prefix+f.Tag.Get("yaml"), f.Type
			if !written[name] {
				t.Errorf("the sample says nothing of %s", name)
			}
			if ft.Kind() == reflect.Slice {
				ft = ft.Elem()
			}
			if ft.Kind() == reflect.Struct && ft.PkgPath() == s.PkgPath() {
				walk(ft, name+".")
			}
		}
	}
	walk(reflect.TypeOf(c), "")
}

func TestPatternMatches(t *testing.T) {
	for _, x := range []struct {
		pattern, number string
		want            bool
	}{
		{"401", "401", true}, {"401", "4010", false}, {"+49*", "+4930", true}, {"+49*", "+48", false}, {"*", "", true},
		{"/9\\d+/", "9123", true}, {"/9\\d+/", "09123", false}, {"/1|2/", "12", false}, {"/1|2/", "2", true},
	} {
		p, err := parsePattern(x.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(x.number); got != x.want {
			t.Errorf("%s matches %q: %v, want %v", x.pattern, x.number, got, x.want)
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]string{"64MiB": "64MiB", "2048KiB": "2MiB", "0B": "0B", "3 GiB": "3GiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s.String() != want {
			t.Errorf("%s reads as %s (%v), want %s", in, s, err, want)
		}
	}
	for _, in := range []string{"", "5", "-1MiB", "MiB", "99999999999TiB", "1MB"} {
		if err := new(Size).UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken for a size", in)
		}
	}
}

func TestSplitHost(t *testing.T) {
	for in, want := range map[string]struct {
		host string
		port uint16
	}{
		"192.0.2.1": {"192.0.2.1", 0}, "192.0.2.1:5060": {"192.0.2.1", 5060}, "2001:db8::1": {"2001:db8::1", 0},
		"[2001:db8::1]": {"2001:db8::1", 0}, "[2001:db8::1]:5060": {"2001:db8::1", 5060}, "sip.example.com:1": {"sip.example.com", 1},
	} {
		if h, p, err := splitHost(in); err != nil || h != want.host || p != want.port {
			t.Errorf("%s is %q, %d (%v), want %v", in, h, p, err, want)
		}
	}
	for _, in := range []string{"", ":5060", "h:0", "h:x", "a b", "1.2.3", "-a.example", "a..b", "sip:x@y"} {
		if h, p, err := splitHost(in); err == nil {
			t.Errorf("%q was taken for host %q, port %d", in, h, p)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, m := range mistakes {
		f.Add([]byte(m.file))
	}
	if b, err := os.ReadFile(sample); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		c, d := parseConfig("f.yaml", b, testEnv)
		if len(d.wrong()) == 0 {
			c.complete()
			d.doubts(&c, testHost())
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d bytes took %v", len(b), took)
		}
	})
}
