package rtp

import (
	"cmp"
	"net/netip"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

// agreement is what an offer and its answer came to, in the form the packet path uses. It doesn't change once in force.
type agreement struct {
	rtpstream.Table
	direction sdp.Direction
	target    udp.Addr   // its RTP, as in its SDP
	control   udp.Addr   // its RTCP
	mux       bool       // both on one port
	feedback  bool       // the peer takes RTCP's feedback about video
	estimates bool       // and tells what its path takes (REMB)
	repeats   bool       // and that packets are lost, ours and its own
	beside    *beside    // where packets go again; nil = where they went
	measured  int        // ms of the packets that the peer sends, if it wants to know how they come (RFC 3611); 0 = it doesn't
	silent    bool       // no RTCP (b=RS:0 and b=RR:0, RFC 3556)
	barred    []udp.Addr // RTP of other early dialogs
	crypt     *transform
	ptime     int  // ms of the packets that the peer is sent
	open      bool // whoever speaks first is the peer (a=direction:active)
	told      Negotiated
}

// agree makes the agreement, or refuses an address that can't be used. The caller holds mu.
func (e *Endpoint) agree(s *sdp.Agreement, policy media.SRTP) (*agreement, error) {
	if err := e.reachable(s.Remote); err != nil {
		return nil, err
	}
	a := &agreement{Table: e.formats.Table(s), direction: s.Direction, mux: s.Local.Mux && s.Remote.Mux}
	a.target = e.destination(s.Remote.Target())
	if c := s.Remote.Control(); c.IsValid() {
		// The address is that of RTP whatever a=rtcp says: reports go to nobody who didn't ask for media.
		a.control = e.destination(netip.AddrPortFrom(s.Remote.Addr, c.Port()))
	}
	_, says := s.Remote.Attribute("rtcp-fb")
	a.feedback = says && speaks(s.Remote)
	a.estimates = feeds(s.Remote, "goog-remb")
	a.repeats = repeats(s.Remote)
	if e.pictures != nil && a.repeats {
		a.beside = agreedBeside(s)
	}
	if e.cfg.Metrics && e.pictures == nil && rtpstream.KnowsXR(s.Local) && rtpstream.WantsMetrics(s.Remote) {
		a.measured = cmp.Or(s.Local.Ptime, 20)
	}
	a.silent = s.Remote.Rate("RS") == 0 && s.Remote.Rate("RR") == 0
	var err error
	var suite string
	if a.crypt, suite, err = e.keys.agree(s.Local, s.Remote); err != nil {
		return nil, err
	}
	if err := secured(policy, s.Remote, a.crypt != nil); err != nil {
		return nil, err
	}
	a.ptime = packetTime(s.Remote.Packet(e.cfg.Ptime))
	a.open = e.cfg.Comedia && active(s.Remote)
	a.told = Negotiated{
		Codec: a.Codec, Events: a.Events, Ptime: a.ptime,
		Direction: s.Direction, Remote: s.Remote.Target(),
		SRTP:  suite,
		Local: netip.AddrPortFrom(e.cfg.Advertise, e.rtp.LocalAddr().Port()),
	}
	return a, nil
}

// active reports whether a peer says that it speaks first, and is to be found by that: a=direction (as Kurento and some phones
// write it), or a=setup (RFC 4145 4) on a line of RTP.
func active(m *sdp.Media) bool {
	for _, key := range []string{"direction", "setup"} {
		if v, _ := m.Attribute(key); v == "active" {
			return true
		}
	}
	return false
}

// reachable refuses addresses that our socket can't, or mustn't, send to.
func (e *Endpoint) reachable(m *sdp.Media) error {
	switch {
	case !m.Addr.IsValid():
		return sdp.Refuse(sdp.ErrAddress, "The connection address is %s, expected an IP address", m.Host)
	case m.Addr.IsMulticast() || m.Addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return sdp.Refuse(sdp.ErrAddress, "The connection address %s isn't unicast", m.Addr)
	case m.Addr.IsUnspecified(): // hold as of RFC 2543, of whatever family
		return nil
	case m.Addr.Unmap().Is4() != e.cfg.Bind.Is4() && (e.cfg.Bind.Is4() || !e.cfg.Bind.IsUnspecified()):
		return sdp.Refuse(sdp.ErrAddress, "The connection address %s is of another family than %s", m.Addr, e.cfg.Advertise)
	}
	return nil
}

// destination is where packets may go before the source lock is held. A loopback address from a peer that isn't on this
// machine would send into our own services: such a peer is found by the lock alone.
func (e *Endpoint) destination(a netip.AddrPort) udp.Addr {
	if !a.IsValid() || a.Addr().Unmap().IsLoopback() && !e.cfg.Advertise.IsLoopback() && !e.cfg.Bind.IsLoopback() {
		return udp.Addr{}
	}
	return udp.From(a)
}
