// Package carrier is the demo carrier: a small SIP carrier with digest registration and numbers for speech, echo, tone, busy,
// no answer, early media and DTMF. It calls in on command. It is a user of our own sip and media, and knows nothing of the
// gateway.
package carrier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
)

// Account is who may register and call.
type Account struct{ User, Password string }

// Config of a carrier.
type Config struct {
	Listen   netip.AddrPort // SIP over UDP and TCP, and RTP on the same address; not unspecified. Port 0: any
	Accounts []Account      // at least one
	Realm    string         // of digest challenges; default "carrier"
	Control  string         // path of the socket that takes commands (see Connect); "" = none
	Record   string         // folder for a WAV file of what each call says; "" = none
	Longest  time.Duration  // the carrier hangs up after so long; default 60 s
	Ring     time.Duration  // and refuses a call that it lets ring after; default 3 min
	MinPort  uint16         // range of RTP ports; 0 = 30000 to 39999
	MaxPort  uint16
	Log      *slog.Logger
}

// maxCalls bounds the calls at a time; the next gets 503.
const maxCalls = 500

// Carrier is a running carrier.
type Carrier struct {
	cfg       Config
	log       *slog.Logger
	media     *leg.Media
	formats   []*media.Format
	front     *sip.Front
	ua        *sip.UA
	registrar *sip.Registrar
	speech    speech
	control   *control

	ctx  context.Context // ends when the carrier stops
	stop context.CancelFunc
	once sync.Once
	err  error
	work sync.WaitGroup

	mu     sync.Mutex
	calls  []*call // running, oldest first
	ended  []Call  // the last ones
	number int     // of the last call
	closed bool
}

// New starts a carrier.
func New(cfg Config) (_ *Carrier, err error) {
	c := &Carrier{cfg: cfg}
	if err := c.cfg.complete(); err != nil {
		return nil, err
	}
	c.log = c.cfg.Log
	c.ctx, c.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.speech, err = loadSpeech(); err != nil {
		return nil, err
	}
	if c.formats, err = leg.Formats(nil); err != nil {
		return nil, err
	}
	c.media, err = leg.OpenMedia(leg.MediaConfig{Bind: cfg.Listen.Addr(), MinPort: cfg.MinPort, MaxPort: cfg.MaxPort, Log: c.log})
	if err != nil {
		return nil, err
	}
	if err = c.listen(); err != nil {
		return nil, err
	}
	if cfg.Control != "" {
		if c.control, err = newControl(cfg.Control, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Config) complete() error {
	if !c.Listen.Addr().IsValid() || c.Listen.Addr().IsUnspecified() {
		return fmt.Errorf("carrier listens on %s, expected an address that stands in SDP, such as 127.0.0.1:5090", c.Listen)
	}
	if len(c.Accounts) == 0 {
		return errors.New("carrier has no account, expected at least one")
	}
	for _, a := range c.Accounts {
		if a.User == "" || a.Password == "" {
			return fmt.Errorf("account %q: expected a user and a password", a.User)
		}
	}
	if c.Realm == "" {
		c.Realm = "carrier"
	}
	if c.Longest == 0 {
		c.Longest = time.Minute
	}
	if c.Ring == 0 {
		c.Ring = 3 * time.Minute
	}
	if c.Longest < 0 || c.Ring < 0 {
		return fmt.Errorf("longest call %s and longest ringing %s, expected no negative time", c.Longest, c.Ring)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// listen opens the SIP side. UDP and TCP have the same port; a free one is looked for a few times.
func (c *Carrier) listen() error {
	server, err := auth.NewServer(auth.ServerConfig{Realm: c.cfg.Realm, Lookup: c.lookup})
	if err != nil {
		return err
	}
	c.registrar, err = sip.NewRegistrar(sip.RegistrarConfig{Auth: server, Changed: func(user string, online bool) {
		c.log.Info("registration", "account", user, "online", online)
	}})
	if err != nil {
		return err
	}
	if c.front, err = sip.NewFront(sip.FrontConfig{Log: c.log}); err != nil {
		return err
	}
	for try := 0; ; try++ {
		c.ua, err = c.front.NewUA(sip.Config{Name: "carrier", Bind: &sip.Listen{Addr: c.cfg.Listen}, UserAgent: "Patchbay demo carrier",
			Match: func(sip.Inbound) bool { return true }, Authenticate: server, Registrar: c.registrar, Invite: c.invite})
		if err == nil || c.cfg.Listen.Port() != 0 || try == 9 {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("carrier: %w", err)
	}
	c.log.Info("carrier is up", "listen", c.Addr(), "accounts", len(c.cfg.Accounts))
	return nil
}

func (c *Carrier) lookup(user, _ string) (auth.Credentials, bool) {
	for _, a := range c.cfg.Accounts {
		if a.User == user {
			return auth.Credentials{Username: a.User, Password: a.Password}, true
		}
	}
	return auth.Credentials{}, false
}

// Addr is where the carrier listens, UDP and TCP.
func (c *Carrier) Addr() netip.AddrPort {
	if a := c.ua.Addrs(); len(a) > 0 {
		return a[0].Addr
	}
	return c.cfg.Listen
}

// Registered are the accounts that are registered now, in order of name.
func (c *Carrier) Registered() []string { return c.registrar.Users() }

// Run serves until ctx ends, then hangs up and stops.
func (c *Carrier) Run(ctx context.Context) error {
	<-ctx.Done()
	c.log.Info("carrier stops", "calls", len(c.Calls(false)))
	return c.Close()
}

// Close refuses new calls, hangs up all others, and stops. Twice is as good as once.
func (c *Carrier) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.stop()
		c.work.Wait()
		var errs []error
		if c.control != nil {
			errs = append(errs, c.control.close())
		}
		if c.front != nil {
			errs = append(errs, c.front.Close())
		}
		if c.media != nil {
			errs = append(errs, c.media.Close())
		}
		c.err = errors.Join(errs...)
	})
	return c.err
}
