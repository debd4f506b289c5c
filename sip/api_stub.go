package sip

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
)

var errUnfinished = errors.New("sip: unfinished")

// Front owns the listening sockets.
type Front struct{}

// NewFront opens the sockets.
func NewFront(cfg FrontConfig) (*Front, error) { return nil, errUnfinished }

// Addrs are the sockets as really bound.
func (f *Front) Addrs() []Listen { return nil }

// NewUA adds a user agent.
func (f *Front) NewUA(cfg Config) (*UA, error) { return nil, errUnfinished }

// Close ends all.
func (f *Front) Close() error { return errUnfinished }

// Stats counts.
func (f *Front) Stats() FrontStats { return FrontStats{} }

// FrontStats are counters since the start and gauges.
type FrontStats struct {
	Dropped      map[string]uint64 // by reason
	Connections  int
	Transactions int
}

// UA is a user agent.
type UA struct{}

// Stats are a UA's counters since its start, and gauges.
type Stats struct {
	RequestsIn, RequestsOut   map[string]uint64 // by method; unknown methods are "OTHER"
	ResponsesIn, ResponsesOut map[string]uint64 // by class: "1xx" … "6xx"
	Dialogs                   int
	Challenged, Refused       uint64
}

// Name is the configured name.
func (u *UA) Name() string { return "" }

// Stats counts.
func (u *UA) Stats() Stats { return Stats{} }

// Close ends the UA.
func (u *UA) Close() error { return errUnfinished }

// Dial sends an INVITE.
func (u *UA) Dial(ctx context.Context, inv Invite) (*Dialog, error) { return nil, errUnfinished }

// Ping sends OPTIONS and returns the final status.
func (u *UA) Ping(ctx context.Context, target URI, to Destination) (status int, err error) {
	return 0, errUnfinished
}

// Restore remakes a dialog after a restart.
func (u *UA) Restore(s State) (*Dialog, error) { return nil, errUnfinished }

// Register registers at a registrar.
func (u *UA) Register(cfg RegisterConfig) (*Registration, error) { return nil, errUnfinished }

// Request is an INVITE.
type Request struct {
	URI         URI
	From, To    NameAddr
	Contact     NameAddr
	Headers     Headers
	ContentType string
	Body        []byte
	Source      netip.AddrPort // inbound
	Network     string
	User        string // the authenticated user, inbound
	At          time.Time
}

// Asserted are the P-Asserted-Identity values (RFC 3325).
func (r *Request) Asserted() []NameAddr { return nil }

// Diversions are the Diversion values (RFC 5806), most recent first.
func (r *Request) Diversions() []NameAddr { return nil }

// Dialog is one INVITE's conversation.
type Dialog struct{}

// Events is the dialog's channel of events.
func (d *Dialog) Events() <-chan Event { return nil }

// CallID of the dialog.
func (d *Dialog) CallID() string { return "" }

// LocalTag of the dialog.
func (d *Dialog) LocalTag() string { return "" }

// RemoteTag of the dialog; "" until known.
func (d *Dialog) RemoteTag() string { return "" }

// Inbound tells whether the peer sent the INVITE.
func (d *Dialog) Inbound() bool { return false }

// UA of the dialog.
func (d *Dialog) UA() *UA { return nil }

// Request is the INVITE that made the dialog.
func (d *Dialog) Request() *Request { return nil }

// Progress sends a 101-199.
func (d *Dialog) Progress(status int, reason string, body []byte, h ...Header) error {
	return errUnfinished
}

// Answer sends 200.
func (d *Dialog) Answer(body []byte, h ...Header) error { return errUnfinished }

// Reject sends a 300-699.
func (d *Dialog) Reject(status int, reason string, h ...Header) error { return errUnfinished }

// Reinvite offers anew within the dialog.
func (d *Dialog) Reinvite(ctx context.Context, body []byte, h ...Header) (answer []byte, err error) {
	return nil, errUnfinished
}

// Info sends INFO.
func (d *Dialog) Info(ctx context.Context, contentType string, body []byte) error {
	return errUnfinished
}

// Refer asks the peer to call target; replaces is "call-id;to-tag=…;from-tag=…" or "".
func (d *Dialog) Refer(ctx context.Context, target URI, replaces string, h ...Header) error {
	return errUnfinished
}

// Hangup ends the dialog.
func (d *Dialog) Hangup(ctx context.Context, why Reason, status int) error { return errUnfinished }

// State is all that Restore needs.
func (d *Dialog) State() State { return State{} }

// State of a dialog, for JSON.
type State struct{}

// Offer is the peer's offer within the dialog.
type Offer struct {
	Body    []byte // nil: the peer wants us to offer
	Content string
	Headers Headers
	Method  string // INVITE or UPDATE
}

// Done is closed when the offer can no longer be answered.
func (o *Offer) Done() <-chan struct{} { return nil }

// Answer accepts.
func (o *Offer) Answer(body []byte, h ...Header) error { return errUnfinished }

// Reject refuses, such as with 488.
func (o *Offer) Reject(status int, reason string, h ...Header) error { return errUnfinished }

// ReferRequest is the peer's wish that we call Target.
type ReferRequest struct {
	Target     URI
	Replaces   string // unescaped Replaces header of Target, "" if none
	ReferredBy string
	Headers    Headers
}

// Accept answers 202.
func (r *ReferRequest) Accept() error { return errUnfinished }

// Reject refuses.
func (r *ReferRequest) Reject(status int, reason string) error { return errUnfinished }

// Notify tells the peer how the call goes (sipfrag); final ends the subscription.
func (r *ReferRequest) Notify(ctx context.Context, status int, reason string, final bool) error {
	return errUnfinished
}

// RegisterConfig describes a registration at a registrar.
type RegisterConfig struct {
	Registrar   URI      // request-URI, such as sip:carrier.example
	AOR         NameAddr // To and From
	Contact     string   // user of our Contact; "" = that of AOR
	Credentials Credentials
	Expires     time.Duration // asked for; default 1 h
	Route       []URI         // outbound proxy
	Destination Destination
	Headers     []Header
	// Changed is told each change of status, on the registration's goroutine.
	Changed func(RegistrationStatus)
}

// RegistrationState is where a registration stands.
type RegistrationState string

// The states of a registration.
const (
	Registering  RegistrationState = "registering"
	Registered   RegistrationState = "registered"
	Failing      RegistrationState = "failing" // the last try failed; more follow
	Unregistered RegistrationState = "unregistered"
)

// RegistrationStatus is a registration now.
type RegistrationStatus struct {
	State        RegistrationState
	Expires      time.Time // when the granted binding ends; zero if none
	Granted      time.Duration
	Next         time.Time      // next REGISTER
	Status       int            // last final status, 0 if none came
	Err          error          // why it fails
	Learned      netip.AddrPort // how the registrar sees us (RFC 3581)
	ServiceRoute []string
	Associated   []string // P-Associated-URI
}

// Registration keeps us registered.
type Registration struct{}

// Status is the state now.
func (r *Registration) Status() RegistrationStatus { return RegistrationStatus{} }

// Unregister ends it with Expires 0.
func (r *Registration) Unregister(ctx context.Context) error { return errUnfinished }

// Close ends it silently.
func (r *Registration) Close() error { return errUnfinished }

// RegistrarConfig are a registrar's settings.
type RegistrarConfig struct {
	Auth        *auth.Server  // required: who may register
	MinExpires  time.Duration // default 60 s
	MaxExpires  time.Duration // default 1 h; also what is granted when none is asked
	MaxContacts int           // per user; default 10
	MaxUsers    int           // users online at once; default 65536
	// Changed is told that a user's contacts came or went; online is whether any is left. One call at a time.
	Changed func(user string, online bool)
	// Allowed tells whether the authenticated user may register this address-of-record; nil: user part equals it.
	Allowed func(user string, aor URI) bool
}

// Registrar keeps where our users are.
type Registrar struct{}

// NewRegistrar makes one.
func NewRegistrar(cfg RegistrarConfig) (*Registrar, error) { return nil, errUnfinished }

// Contacts of a user, best first.
func (r *Registrar) Contacts(user string) []Contact { return nil }

// Users that are online.
func (r *Registrar) Users() []string { return nil }

// Contact is where a user can be reached.
type Contact struct {
	URI       URI
	Expires   time.Time
	Q         float64
	Source    netip.AddrPort
	Network   string
	UserAgent string
	CallID    string
}

// Destination is the way back to the phone: its own flow.
func (c Contact) Destination() Destination { return Destination{} }
