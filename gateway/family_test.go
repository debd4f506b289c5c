package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

var loopback6 = netip.IPv6Loopback()

// both has the gateway on both families, with a trunk "carrier" over IPv6 if six says so.
func both(six *siptest.Phone) func(*settings) {
	return func(s *settings) {
		s.front.Listen = append(s.front.Listen, sip.Listen{Network: "udp", Addr: netip.AddrPortFrom(loopback6, 0)})
		s.Media.Addrs = append(s.Media.Addrs, MediaAddr{Bind: loopback6, Advertise: loopback6})
		if six != nil {
			s.Trunks[0].Proxy = sip.HostPort{Host: "::1", Port: six.Addr("udp").Port()}
		}
	}
}

// server6 is where the gateway listens over IPv6.
func (b *bench) server6() netip.AddrPort {
	for _, l := range b.front.Addrs() {
		if l.Network == "udp" && l.Addr.Addr().Is6() {
			return l.Addr
		}
	}
	b.Fatal("no socket of IPv6")
	return netip.AddrPort{}
}

// A call between a phone of one family and a carrier of the other: each hears the other, by SIP and SDP of its own family.
func TestFourToSix(t *testing.T) {
	t.Parallel()
	for _, six := range []string{"phone", "carrier"} {
		t.Run("IPv6 is the "+six, func(t *testing.T) {
			t.Parallel()
			carrier6 := siptest.NewPhone(t, siptest.PhoneConfig{User: "carrier6", Server: netip.AddrPortFrom(loopback6, 9), Domain: "carrier.test", Timers: fast})
			ha, hc := handsetOf(t, 440, rtp.Config{Bind: loopback}), handsetOf(t, 880, rtp.Config{Bind: loopback6})
			change := both(carrier6)
			if six == "phone" {
				ha, hc = handsetOf(t, 440, rtp.Config{Bind: loopback6}), handsetOf(t, 880, rtp.Config{Bind: loopback})
				change = both(nil)
			}
			b := newBench(t, change)
			carrier := carrier6
			if six == "phone" {
				carrier, b.addr = b.carrier, b.server6()
			}
			alice := b.phone("alice")
			offer := ha.offer(media.Want{})
			a := b.from(alice, "9123", offer.SDP())
			c := carrier.Incoming()
			r := c.Request()
			// What the carrier reads is of its own family, whatever the phone's is.
			family, host := map[bool]string{true: "IN IP4 127.0.0.1\r\n", false: "IN IP6 ::1\r\n"}[six == "phone"], map[bool]string{true: "127.0.0.1", false: "[::1]"}[six == "phone"]
			if n := strings.Count(string(r.Body), family); n != 2 {
				t.Errorf("the carrier is offered\n%s", r.Body)
			}
			if !strings.Contains(r.Contact.String(), "@"+host+":") || !strings.Contains(r.Headers.Get("Via"), " "+host+":") {
				t.Errorf("Contact %s, Via %s", r.Contact, r.Headers.Get("Via"))
			}
			if err := c.Answer(hc.answers(r.Body, media.Want{})); err != nil {
				t.Fatal(err)
			}
			c.Wait(sip.KindAcked)
			ha.takes(offer, a.Wait(sip.KindAnswered).Body)
			ha.hear(880)
			hc.hear(440)
			c.Bye()
			a.Wait(sip.KindEnded)
			rec := b.ends(call.Callee, 16, 200)
			for i, l := range rec.Legs {
				if of6 := l.Media.Local.Addr().Is6(); of6 != l.Media.Remote.Addr().Is6() || of6 != ((i == 0) == (six == "phone")) {
					t.Errorf("leg %d: media from %s to %s", l.No, l.Media.Local, l.Media.Remote)
				}
			}
		})
	}
}

// A trunk and a user take the media addresses that they name; others the first of their family.
func TestMediaOfParties(t *testing.T) {
	t.Parallel()
	second, third := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	public := netip.MustParseAddr("203.0.113.9")
	b := newBench(t, func(s *settings) {
		s.Media.Addrs = append(s.Media.Addrs, MediaAddr{Bind: second}, MediaAddr{Bind: third}, MediaAddr{Bind: loopback6})
		s.Trunks[0].Media = []MediaAddr{{Bind: second, Advertise: public}}
		s.Users[1].Media = []MediaAddr{{Bind: third}, {Bind: loopback6}}
	})
	peer4, peer6 := netip.MustParseAddrPort("198.51.100.1:5060"), netip.MustParseAddrPort("[2001:db8::1]:5060")
	for _, x := range []struct {
		name string
		p    party
		want MediaAddr
	}{
		{"anybody", party{peer: peer4}, MediaAddr{loopback, loopback}},
		{"anybody over IPv6", party{peer: peer6}, MediaAddr{Bind: loopback6}},
		{"the trunk", party{peer: peer4, media: b.cfg.Trunks[0].Media}, MediaAddr{second, public}},
		{"the trunk over IPv6, which it has no address of", party{peer: peer6, media: b.cfg.Trunks[0].Media}, MediaAddr{second, public}},
		{"the user", party{peer: peer4, media: b.cfg.Users[1].Media}, MediaAddr{Bind: third}},
		{"the user over IPv6", party{peer: peer6, media: b.cfg.Users[1].Media}, MediaAddr{Bind: loopback6}},
		{"SIP over IPv6, media over IPv4", party{peer: peer6, offers: loopback}, MediaAddr{loopback, loopback}},
		{"SIP over IPv4, media over IPv6", party{peer: peer4, offers: peer6.Addr()}, MediaAddr{Bind: loopback6}},
	} {
		if got := b.portsFor(x.p); got.MediaAddr != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, got.MediaAddr, x.want)
		}
	}
	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	c := b.carrier.Incoming()
	if !strings.Contains(string(c.Request().Body), "c=IN IP4 203.0.113.9\r\n") {
		t.Errorf("the carrier is offered\n%s", c.Request().Body)
	}
	if err := c.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, a, 486)
}
