package kurento

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/rpc"
)

const defaultSTUN = 3478 // RFC 8489 8.1

// iceSettings are a WebRtcEndpoint's as they were set.
type iceSettings struct {
	networkInterfaces, stun, turn, external4, external6 string

	port int
	tcp  bool

	// The setting came from a client that may be on another host.
	stunForeign, turnForeign bool
}

// ErrICEHost is WebRTC.SetICE's error, in its chain, for a server that lies where ICE.Foreign may not lead.
var ErrICEHost = errors.New("leads to this machine, or no further than its link")

// iceText is one of those that are text.
type iceText struct {
	name string
	of   func(*iceSettings) *string
	want string // what is expected of it
}

func iceTexts() []iceText {
	return []iceText{
		{"networkInterfaces", func(s *iceSettings) *string { return &s.networkInterfaces }, "names of network interfaces with an address, with commas between them"},
		{"stunServerAddress", func(s *iceSettings) *string { return &s.stun }, "an IP address or a host name"},
		{"turnUrl", func(s *iceSettings) *string { return &s.turn }, "user:password@host:port, and perhaps ?transport=udp, tcp or tls"},
		{"externalIPv4", func(s *iceSettings) *string { return &s.external4 }, "an IPv4 address"},
		{"externalIPv6", func(s *iceSettings) *string { return &s.external6 }, "an IPv6 address"},
	}
}

// text is a setting as the client may see it: who may not change it sees no credential.
func (e *WebRtcEndpoint) text(ctx context.Context, s iceText) string {
	e.setting.Lock()
	v := *s.of(&e.ice)
	e.setting.Unlock()
	if who, _ := rpc.ScopeOf(ctx); s.name == "turnUrl" && !who.Roles().Grant(rpc.Control) {
		if _, rest, ok := cutLast(v, "@"); ok {
			return "***:***@" + rest
		}
	}
	return v
}

// setText changes one setting; "" is as if it had never been set.
func (e *WebRtcEndpoint) setText(ctx context.Context, s iceText, v string) error {
	v = strings.TrimSpace(v)
	who, _ := rpc.ScopeOf(ctx)
	change := func(i *iceSettings) {
		*s.of(i) = v
		switch s.name {
		case "stunServerAddress":
			i.stunForeign = who.IsForeign()
		case "turnUrl":
			i.turnForeign = who.IsForeign()
		}
	}
	return e.set(change, func(cause error) error {
		shown := fmt.Sprintf("%.200q", v)
		if s.name == "turnUrl" {
			shown = "malformed" // it has a password
		}
		text := "'" + s.name + "' is " + shown + ", should be " + s.want
		if errors.Is(cause, ErrICEHost) {
			text = fmt.Sprintf("'%s' %v: the server's settings can allow that to clients with a token (rpc.ice_hosts)", s.name, cause)
		}
		return &rpc.Error{Code: rpc.IllegalParam, Message: text, Err: cause}
	})
}

func (e *WebRtcEndpoint) set(change func(*iceSettings), wrong func(error) error) error {
	e.setting.Lock()
	defer e.setting.Unlock()
	next := e.ice
	change(&next)
	c, err := next.read()
	if err == nil {
		err = e.web.SetICE(c)
	}
	if err != nil {
		return wrong(err)
	}
	e.ice = next
	return nil
}

// IceTCP tells whether candidates over TCP are used.
func (e *WebRtcEndpoint) IceTCP() bool {
	e.setting.Lock()
	defer e.setting.Unlock()
	return e.ice.tcp
}

// SetIceTCP says whether candidates over TCP are used, of those that are gathered next.
func (e *WebRtcEndpoint) SetIceTCP(v bool) error {
	return e.set(func(i *iceSettings) { i.tcp = v }, func(err error) error { return err })
}

// StunServerPort is the STUN server's.
func (e *WebRtcEndpoint) StunServerPort() int {
	e.setting.Lock()
	defer e.setting.Unlock()
	return e.ice.port
}

// SetStunServerPort sets the STUN server's, 1 to 65535.
func (e *WebRtcEndpoint) SetStunServerPort(v int) error {
	wrong := func(cause error) error {
		return &rpc.Error{Code: rpc.IllegalParam, Message: "'stunServerPort' is " + strconv.Itoa(v) + ", should be 1 to 65535", Err: cause}
	}
	if v < 1 || v > 65535 {
		return wrong(nil)
	}
	return e.set(func(i *iceSettings) { i.port = v }, wrong)
}

// read turns what was set into where to look.
func (s *iceSettings) read() (ICE, error) {
	c := ICE{NoTCP: !s.tcp}
	for name := range strings.SplitSeq(s.networkInterfaces, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.Interfaces = append(c.Interfaces, name)
		}
	}
	if s.stun != "" {
		host := strings.Trim(s.stun, "[]")
		if !isHost(host) {
			return c, rpc.Errorf(rpc.IllegalParam, "no host")
		}
		c.STUN = net.JoinHostPort(host, strconv.Itoa(s.port))
		if s.stunForeign {
			c.Foreign = append(c.Foreign, host)
		}
	}
	var err error
	if c.TURN, err = readTURN(s.turn); err != nil {
		return c, err
	}
	if s.turnForeign && c.TURN.Address != "" {
		host, _, _ := net.SplitHostPort(c.TURN.Address) // as readTURN has it
		c.Foreign = append(c.Foreign, host)
	}
	for text, to := range map[string]*netip.Addr{s.external4: &c.External4, s.external6: &c.External6} {
		if text == "" {
			continue
		}
		if *to, err = netip.ParseAddr(text); err != nil {
			return c, err
		}
	}
	return c, nil
}

// readTURN reads a turnUrl. A password may have what else separates: its end is the last @.
func readTURN(v string) (TURN, error) {
	bad := rpc.Errorf(rpc.IllegalParam, "no turnUrl")
	if v == "" {
		return TURN{}, nil
	}
	credential, rest, ok := cutLast(v, "@")
	user, password, named := strings.Cut(credential, ":")
	if !ok || !named || user == "" || password == "" {
		return TURN{}, bad
	}
	address, query, asks := strings.Cut(rest, "?")
	t := TURN{Address: address, User: user, Password: password, Transport: "udp"}
	if asks {
		transport, is := strings.CutPrefix(query, "transport=")
		if !is || transport != "udp" && transport != "tcp" && transport != "tls" {
			return TURN{}, bad
		}
		t.Transport = transport
	}
	host, port, err := net.SplitHostPort(address)
	if n, err2 := strconv.ParseUint(port, 10, 16); err != nil || err2 != nil || n == 0 || !isHost(host) {
		return TURN{}, bad
	}
	return t, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// isHost reports whether s is an IP address or a host name (RFC 1123 2.1).
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	ok, err := regexp.MatchString(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`, s)
	return err == nil && ok && len(s) < 254
}

// wanted is the direction of a constructor's two switches.
func wanted(recvonly, sendonly bool) (media.Want, error) {
	switch {
	case recvonly && sendonly:
		return media.Want{}, rpc.Errorf(rpc.IllegalParam, "'recvonly' and 'sendonly' are both set, only one of them may be")
	case recvonly:
		return media.Want{Direction: sdp.RecvOnly}, nil
	case sendonly:
		return media.Want{Direction: sdp.SendOnly}, nil
	}
	return media.Want{}, nil
}
