// Package phone is a phone without a handset, or a browser without a window: it registers, dials or waits, plays, measures what it
// hears, and tells its story. It is a user of our own sip and media, and knows nothing of the gateway.
package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// Config of a phone.
type Config struct {
	// Page makes it a browser: the http or https URL of the server at which it logs in. SIP goes over WebSocket to the same server,
	// media is WebRTC. Server, Transport and the range of ports are a phone's and must be empty.
	Page      string
	Server    string   // host or host:port of the registrar; port 5060 if none is given
	Transport string   // udp or tcp; "" = udp
	User      string   // also for the digest
	Password  string   // of the user
	Codecs    []string // pcmu, pcma, opus, best first; none = the first two, of a browser all, opus first
	MinPort   uint16   // range of RTP ports; 0 = 40000 to 49999
	MaxPort   uint16
	Tell      func(Line) // hears each line of the story as it happens; nil = nobody
	Log       *slog.Logger
}

// Line is one line of a phone's story.
type Line struct {
	MS   int64  `json:"ms"` // since the phone was made
	Text string `json:"text"`
}

// registerTime is how long the server may take to answer a REGISTER.
const registerTime = 4 * time.Second

// Phone is a phone with one account.
type Phone struct {
	cfg     Config
	log     *slog.Logger
	server  netip.AddrPort
	domain  string // host of addresses, as it was given
	page    *page  // nil: it is a phone
	way     sip.Destination
	formats []*media.Format
	media   *leg.Media
	front   *sip.Front
	ua      *sip.UA
	reg     *sip.Registration
	began   time.Time
	inbound chan *sip.Dialog // a call that somebody waits for
	once    sync.Once
	err     error

	mu    sync.Mutex
	story []Line
}

// New makes a phone and opens its sockets, on the address that faces the server.
func New(ctx context.Context, cfg Config) (_ *Phone, err error) {
	p := &Phone{cfg: cfg, log: cfg.Log, began: time.Now(), inbound: make(chan *sip.Dialog)}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if cfg.User == "" {
		return nil, errors.New("user is empty: expected the name of an account")
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	if p.formats, err = leg.Formats(p.cfg.Codecs); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := p.find(ctx); err != nil {
		return nil, err
	}
	local, err := p.facing()
	if err != nil {
		return nil, err
	}
	p.media, err = leg.OpenMedia(leg.MediaConfig{Bind: local, MinPort: p.cfg.MinPort, MaxPort: p.cfg.MaxPort, Browsers: p.page != nil, Log: p.log})
	if err != nil {
		return nil, err
	}
	if p.front, err = sip.NewFront(sip.FrontConfig{Log: p.log}); err != nil {
		return nil, err
	}
	uc := sip.Config{Name: "phone", UserAgent: "Patchbay phone", Invite: p.invite,
		Credentials: sip.Credentials{Username: cfg.User, Password: cfg.Password},
		Match:       func(in sip.Inbound) bool { return in.Source.Addr() == p.server.Addr() }}
	if p.page == nil {
		uc.Bind = &sip.Listen{Network: p.cfg.Transport, Addr: netip.AddrPortFrom(local, 0)}
	}
	if p.ua, err = p.front.NewUA(uc); err != nil || p.page == nil {
		return p, err
	}
	return p, p.connect(ctx)
}

// complete checks the settings and fills in defaults.
func (p *Phone) complete() error {
	c := &p.cfg
	if c.Page != "" {
		if c.Server != "" || c.Transport != "" || c.MinPort != 0 || c.MaxPort != 0 {
			return errors.New("server, transport and ports are a phone's: a browser has the URL of the page alone")
		}
		if len(c.Codecs) == 0 {
			c.Codecs = []string{"opus", "pcmu", "pcma"} // as browsers do
		}
		return nil
	}
	if c.Transport == "" {
		c.Transport = "udp"
	}
	if c.Transport != "udp" && c.Transport != "tcp" {
		return fmt.Errorf("transport %q: expected udp or tcp", c.Transport)
	}
	if c.MinPort == 0 && c.MaxPort == 0 {
		c.MinPort, c.MaxPort = 40000, 49999
	}
	return nil
}

// find learns where the server is. A browser logs in for that.
func (p *Phone) find(ctx context.Context) error {
	if p.cfg.Page != "" {
		return p.logIn(ctx)
	}
	host, port := p.cfg.Server, uint64(5060)
	if h, s, err := net.SplitHostPort(host); err == nil {
		if port, err = strconv.ParseUint(s, 10, 16); err != nil || port == 0 {
			return fmt.Errorf("server %q: port %q: expected 1 to 65535", p.cfg.Server, s)
		}
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		return fmt.Errorf("server %q: expected host or host:port", p.cfg.Server)
	}
	addr, err := resolve(ctx, host)
	if err != nil {
		return fmt.Errorf("server %q: %w", p.cfg.Server, err)
	}
	p.domain, p.server = host, netip.AddrPortFrom(addr, uint16(port))
	p.way = sip.Destination{Network: p.cfg.Transport, Addr: p.server}
	return nil
}

func resolve(ctx context.Context, host string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0].Unmap(), nil
}

// facing is our address towards the server. Connecting a UDP socket sends nothing: it asks the kernel for a route.
func (p *Phone) facing() (netip.Addr, error) {
	c, err := net.Dial("udp", p.server.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no way to the server: %w", err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone(""), nil
}

// tell adds a line to the story.
func (p *Phone) tell(at time.Time, format string, args ...any) {
	if at.IsZero() {
		at = time.Now()
	}
	l := Line{MS: at.Sub(p.began).Milliseconds(), Text: fmt.Sprintf(format, args...)}
	p.mu.Lock()
	p.story = append(p.story, l)
	p.mu.Unlock()
	if p.cfg.Tell != nil {
		p.cfg.Tell(l)
	}
}

// Story is all that was told so far.
func (p *Phone) Story() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Line(nil), p.story...)
}

// Register registers, and keeps the phone registered until Close. The error is a *Failure.
func (p *Phone) Register(ctx context.Context) error {
	registrar, err := sip.NewURI("", p.domain, p.port())
	if err != nil {
		return err
	}
	aor, err := p.address(p.cfg.User)
	if err != nil {
		return err
	}
	first := make(chan sip.RegistrationStatus, 1)
	p.tell(time.Time{}, "registers as %s at %s over %s", p.cfg.User, p.server, p.cfg.Transport)
	p.reg, err = p.ua.Register(sip.RegisterConfig{Registrar: registrar, AOR: sip.NameAddr{URI: aor}, Destination: p.way,
		Timeout: registerTime, Changed: func(s sip.RegistrationStatus) {
			select {
			case first <- s:
			default: // only the first outcome is waited for
			}
		}})
	if err != nil {
		return err
	}
	select {
	case s := <-first:
		if s.State != sip.Registered {
			f := p.registerFailure(s)
			p.tell(time.Time{}, "is not registered: %s", f.Text)
			return f
		}
		p.tell(time.Time{}, "is registered for %s", s.Granted)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// port is that of addresses: the server's, where it isn't SIP's own. A browser's is HTTP's, which isn't in addresses.
func (p *Phone) port() uint16 {
	if p.server.Port() == 5060 || p.page != nil {
		return 0
	}
	return p.server.Port()
}

func (p *Phone) address(user string) (sip.URI, error) { return sip.NewURI(user, p.domain, p.port()) }

// Close unregisters, ends what is left, and stops. Calls must be over. Twice is as good as once.
func (p *Phone) Close() error {
	p.once.Do(func() {
		var errs []error
		if p.reg != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if err := p.reg.Unregister(ctx); err != nil {
				p.log.Info("not unregistered", "err", err)
			}
		}
		if p.front != nil {
			errs = append(errs, p.front.Close())
		}
		if p.media != nil {
			errs = append(errs, p.media.Close())
		}
		p.logOut()
		p.err = errors.Join(errs...)
	})
	return p.err
}

// invite takes a call that comes in: it goes to whoever waits for one.
func (p *Phone) invite(d *sip.Dialog) {
	select {
	case p.inbound <- d:
		<-d.Ended()
	default:
		if err := d.Reject(486, ""); err != nil {
			p.log.Info("busy not told", "err", err)
		}
		for range d.Events() {
		}
	}
}
