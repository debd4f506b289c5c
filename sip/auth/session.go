package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/sip/wire"
)

// session is a challenge that is answered, again with each request, until another one comes.
type session struct {
	proxy     bool
	realm     string
	nonce     string
	opaque    string
	hasOpaque bool
	algorithm Algorithm
	explicit  bool // the algorithm was named
	sess      bool // its -sess variant: key is made once, with the first request (RFC 7616 3.4.2)
	key       string
	cnonce    string // of key
	qop       string
	count     uint32
	client    func() string // makes a client nonce
}

type challenge struct {
	session
	stale bool
}

func parseChallenge(line string) (challenge, error) {
	f, err := parse(line)
	if err != nil {
		return challenge{}, err
	}
	ch := challenge{stale: strings.EqualFold(f["stale"], "true")}
	ch.client = func() string { return random(8) }
	ch.realm, ch.nonce, ch.opaque = f["realm"], f["nonce"], f["opaque"]
	_, ch.hasOpaque = f["opaque"]
	_, ch.explicit = f["algorithm"]
	ch.algorithm, ch.sess = parseVariant(f["algorithm"])
	if ch.algorithm.strength() == 0 {
		return ch, fmt.Errorf("auth: algorithm %.40q is not supported", f["algorithm"])
	}
	if ch.nonce == "" {
		return ch, errors.New("auth: challenge without nonce")
	}
	if _, named := f["qop"]; named {
		switch {
		case f.hasQop("auth"):
			ch.qop = "auth"
		case f.hasQop(integrity):
			ch.qop = integrity
		default:
			return ch, fmt.Errorf("auth: qop %.40q: expected auth or auth-int among them", f["qop"])
		}
	}
	for _, v := range []string{ch.realm, ch.nonce, ch.opaque} {
		if err := wire.Safe("challenge", v); err != nil {
			return ch, err
		}
	}
	return ch, nil
}

func (s *session) header(c Credentials, method, uri string, body []byte) wire.Header {
	var b strings.Builder
	add := func(name, value string, quoted bool) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + "=")
		if quoted {
			value = wire.Quote(value)
		}
		b.WriteString(value)
	}
	ha1, count, cnonce := c.ha1(s.algorithm, s.realm), "", ""
	if s.qop != "" || s.sess {
		cnonce = s.client()
	}
	if s.sess {
		if s.key == "" {
			s.key, s.cnonce = s.algorithm.sessionKey(ha1, s.nonce, cnonce), cnonce
		}
		ha1, cnonce = s.key, s.cnonce
	}
	if s.qop != "" {
		s.count++
		count = nc(s.count)
	}
	add("username", c.Username, true)
	add("realm", s.realm, true)
	add("nonce", s.nonce, true)
	add("uri", uri, true)
	add("response", s.algorithm.response(ha1, s.nonce, count, cnonce, s.qop, s.algorithm.ha2(s.qop, method, uri, body)), true)
	switch {
	case s.sess:
		add("algorithm", string(s.algorithm)+"-sess", false)
	case s.explicit:
		add("algorithm", string(s.algorithm), false)
	}
	if s.hasOpaque {
		add("opaque", s.opaque, true)
	}
	if s.qop != "" {
		add("qop", s.qop, false)
		add("nc", count, false)
	}
	if cnonce != "" {
		add("cnonce", cnonce, true)
	}
	return wire.Header{Name: credentialsField(s.proxy), Value: "Digest " + b.String()}
}
