package webrtc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	prtcp "github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/deadline"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
)

// caller is a peer whose every packet the test decides about: a socket, ICE's credentials, DTLS and SRTP.
type caller struct {
	tb         testing.TB
	conn       *net.UDPConn
	to         netip.AddrPort
	mine       credentials
	yours      credentials
	cert       tls.Certificate
	print      string
	ssrc       uint32
	seq        uint16
	ts         uint32
	dtls, rest chan []byte
	done       sync.WaitGroup
	session    *dtls.Conn
	in, out    *srtp.Context
}

func newCaller(tb testing.TB) *caller { return newCallerAt(tb, "127.0.0.1") }

func newCallerAt(tb testing.TB, ip string) *caller {
	tb.Helper()
	conn := must[*net.UDPConn](tb)(net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)}))
	cert, print, err := newCertificate()
	if err != nil {
		tb.Fatal(err)
	}
	c := &caller{
		tb: tb, conn: conn, mine: credentials{token(8), token(24)}, cert: cert, print: print, ssrc: 0xabcd, seq: 100, ts: 5000,
		dtls: make(chan []byte, 100), rest: make(chan []byte, 1000),
	}
	c.done.Go(func() {
		for b := make([]byte, 4096); ; {
			n, _, err := conn.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			to := c.rest
			if n > 0 && b[0] >= 20 && b[0] < 64 {
				to = c.dtls
			}
			select {
			case to <- append([]byte(nil), b[:n]...):
			default:
			}
		}
	})
	tb.Cleanup(func() {
		if c.session != nil {
			_ = c.session.Close()
		}
		_ = conn.Close()
		c.done.Wait()
	})
	return c
}

func (c *caller) addr() netip.AddrPort {
	a := c.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// sdp is the caller's description. Each of more is a line, or key=value that replaces what is there.
func (c *caller) sdp(setup string, more ...string) []byte {
	lines := []string{
		"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE a", "m=audio 9 UDP/TLS/RTP/SAVPF 0 8 101",
		"c=IN IP4 0.0.0.0", "a=mid:a", "a=rtcp-mux", "a=sendrecv", "a=rtpmap:101 telephone-event/8000",
		"a=ice-ufrag:" + c.mine.ufrag, "a=ice-pwd:" + c.mine.pwd, "a=fingerprint:" + c.print, "a=setup:" + setup,
	}
	return []byte(strings.Join(append(lines, more...), "\r\n") + "\r\n")
}

// take reads where the leg is from its description.
func (c *caller) take(body []byte) {
	c.tb.Helper()
	d, err := parse(body)
	if err != nil {
		c.tb.Fatal(err)
	}
	s, err := readSide(d, d.Audio())
	if err != nil {
		c.tb.Fatal(err)
	}
	c.yours = credentials{s.ufrag, s.pwd}
	for _, a := range s.candidates {
		if a.Addr().Is4() == c.addr().Addr().Is4() {
			c.to = a
		}
	}
}

// offers lets the caller offer and the leg answer.
func (c *caller) offers(l *leg, setup string, more ...string) {
	c.tb.Helper()
	p, err := l.Answer(context.Background(), c.sdp(setup, more...), media.Want{})
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		c.tb.Fatal(err)
	}
	c.take(p.SDP())
}

func (c *caller) write(b []byte) {
	c.tb.Helper()
	if _, err := c.conn.WriteToUDPAddrPort(b, c.to); err != nil {
		c.tb.Fatal(err)
	}
}

// check is a connectivity check as it should be; more is what stands before its integrity.
func (c *caller) check(more ...stun.Setter) *stun.Message {
	c.tb.Helper()
	set := []stun.Setter{stun.BindingRequest, stun.TransactionID, stun.NewUsername(c.yours.ufrag + ":" + c.mine.ufrag),
		priority(1 << 30), role{stun.AttrICEControlling, 7}}
	set = append(append(set, more...), stun.NewShortTermIntegrity(c.yours.pwd), stun.Fingerprint)
	return must[*stun.Message](c.tb)(stun.Build(set...))
}

// asks sends a check and gives the answer, nil if none comes.
func (c *caller) asks(m *stun.Message) *stun.Message {
	c.tb.Helper()
	c.write(m.Raw)
	end := time.After(150 * time.Millisecond)
	for {
		select {
		case b := <-c.rest:
			r := &stun.Message{Raw: b}
			if len(b) > 0 && b[0] < 4 && r.Decode() == nil && r.TransactionID == m.TransactionID {
				return r
			}
		case <-end:
			return nil
		}
	}
}

// answered is asks of a check that should be answered: it is sent again, as peers do.
func (c *caller) answered(m *stun.Message) *stun.Message {
	c.tb.Helper()
	for range 20 {
		if r := c.asks(m); r != nil {
			return r
		}
	}
	return nil
}

// finds makes the caller's address known and nominated.
func (c *caller) finds() {
	c.tb.Helper()
	r := c.answered(c.check(useCandidate(true)))
	if r == nil || r.Type != stun.BindingSuccess {
		c.tb.Fatalf("a good check is answered with %v", r)
	}
	var a stun.XORMappedAddress
	if err := errors.Join(a.GetFrom(r), stun.NewShortTermIntegrity(c.yours.pwd).Check(r), stun.Fingerprint.Check(r)); err != nil {
		c.tb.Fatal(err)
	}
	if got := netip.AddrPortFrom(netip.MustParseAddr(a.IP.String()), uint16(a.Port)); got != c.addr() {
		c.tb.Fatalf("mapped address is %s, want %s", got, c.addr())
	}
}

// wire is the caller's socket as its DTLS sees it.
type wire struct {
	c    *caller
	read *deadline.Deadline
	done chan struct{}
	once sync.Once
}

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-w.c.dtls:
		return copy(b, p), nowhere{}, nil
	case <-w.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-w.done:
		return 0, nil, net.ErrClosed
	}
}

func (w *wire) WriteTo(b []byte, _ net.Addr) (int, error) {
	return w.c.conn.WriteToUDPAddrPort(b, w.c.to)
}
func (w *wire) Close() error                       { w.once.Do(func() { close(w.done) }); return nil }
func (w *wire) LocalAddr() net.Addr                { return nowhere{} }
func (w *wire) SetDeadline(t time.Time) error      { w.read.Set(t); return nil }
func (w *wire) SetReadDeadline(t time.Time) error  { w.read.Set(t); return nil }
func (w *wire) SetWriteDeadline(t time.Time) error { return nil }

// patience is how long a test waits for what must come: nobody knows how busy the machine is.
const patience = 30 * time.Second

// shakes does the handshake as the client and takes the keys.
func (c *caller) shakes(more ...dtls.Option) error { return c.shakesWithin(patience, more...) }

// shakesWithin is shakes for a while.
func (c *caller) shakesWithin(limit time.Duration, more ...dtls.Option) error {
	opts := []dtls.ClientOption{
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithInsecureSkipVerify(true), dtls.WithLoggerFactory(pionLog{to: newPortLog()}),
	}
	if c.cert.Certificate != nil {
		opts = append(opts, dtls.WithCertificates(c.cert))
	}
	for _, o := range more {
		opts = append(opts, o)
	}
	conn, err := dtls.ClientWithOptions(&wire{c: c, read: deadline.New(), done: make(chan struct{})}, nowhere{}, opts...)
	if err != nil {
		return err
	}
	c.session = conn
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	st, _ := conn.ConnectionState()
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("no SRTP profile")
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&st, true); err != nil {
		return err
	}
	if c.in, err = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile); err != nil {
		return err
	}
	c.out, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	return err
}

// connects does all of it.
func (c *caller) connects(l *leg) {
	c.tb.Helper()
	c.offers(l, "actpass")
	c.finds()
	if err := c.shakes(); err != nil {
		c.tb.Fatal(err)
	}
	await(c.tb, "keys", func() bool { return l.Negotiated().Profile != "" })
}

// packet is the caller's next one, encrypted. head may change its header.
func (c *caller) packet(pt uint8, payload []byte, head ...func([]byte) []byte) []byte {
	c.tb.Helper()
	b := make([]byte, 12, 2048)
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], c.seq)
	binary.BigEndian.PutUint32(b[4:], c.ts)
	binary.BigEndian.PutUint32(b[8:], c.ssrc)
	c.seq++
	c.ts += 160
	for _, h := range head {
		b = h(b)
	}
	b = append(b, payload...)
	return must[[]byte](c.tb)(c.out.EncryptRTP(nil, b, nil))
}

func (c *caller) say(mark byte) { c.write(c.packet(0, tone(mark))) }

func tone(mark byte) []byte {
	b := make([]byte, 160)
	for i := range b {
		b[i] = mark
	}
	return b
}

// heard is a packet as it came.
type heard struct {
	rtpstream.Header
	payload []byte
	control []prtcp.Packet
}

// hear waits for one packet of RTP, or of RTCP.
func (c *caller) hear(control bool) heard {
	c.tb.Helper()
	end := time.After(patience)
	for {
		select {
		case b := <-c.rest:
			switch {
			case len(b) < 12 || b[0] < 128 || rtpstream.IsControl(b) != control:
			case control:
				q := must[[]byte](c.tb)(c.in.DecryptRTCP(nil, b, nil))
				return heard{control: must[[]prtcp.Packet](c.tb)(prtcp.Unmarshal(q))}
			default:
				q := must[[]byte](c.tb)(c.in.DecryptRTP(nil, b, nil))
				var h heard
				if !h.Parse(q) {
					c.tb.Fatalf("no RTP came: %x", q)
				}
				h.payload = q[h.Size:]
				return h
			}
		case <-end:
			c.tb.Fatalf("nothing came within %v", patience)
		}
	}
}

// certificate of the leg as the caller saw it.
func (c *caller) certificate() *x509.Certificate {
	st, _ := c.session.ConnectionState()
	return must[*x509.Certificate](c.tb)(x509.ParseCertificate(st.PeerCertificates[0]))
}

// drops are a port's counts.
func drops(p *Port) map[string]float64 {
	var s media.Snapshot
	p.Stats(&s)
	return s.Notes
}

// notes are a leg's counts.
func (l *leg) notes() map[string]float64 {
	var s media.Snapshot
	l.Stats(&s)
	return s.Notes
}

func (l *leg) counts() (in, out media.Stream) {
	var s media.Snapshot
	l.Stats(&s)
	return s.Streams[0], s.Streams[1]
}

// peer is what stands behind the leg.
func (l *leg) peer() *peer { return l.agreed.Load().line.(*peer) }

// known is how many credentials, addresses, checks of ours and endpoints a port knows.
func (p *Port) known() (users, paths, asked, ends int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, s := range p.sockets {
		s.mu.RLock()
		paths += len(s.paths)
		s.mu.RUnlock()
	}
	return len(p.users), paths, len(p.asked), len(p.ends)
}

func (p *Port) credentials() int { n, _, _, _ := p.known(); return n }

// sizes are how many addresses and SSRCs a peer has.
func (p *peer) sizes() (paths, ssrcs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.paths), len(p.ssrcs)
}
