package main

import (
	"net/netip"
	"slices"
	"time"
)

// Config is the settings file: who may call, which carriers there are, where calls go, and the addresses we stand on.
// Every key has its default in defaults; deploy/patchbay.yaml tells them all.
type Config struct {
	Demo      bool      `yaml:"demo"` // adds the users alice and bob and the trunk demo; true when there is no file
	Node      Node      `yaml:"node"`
	Log       Log       `yaml:"log"`
	HTTP      HTTP      `yaml:"http"`
	HTTPS     HTTPS     `yaml:"https"`
	SIP       SIP       `yaml:"sip"`
	Media     Media     `yaml:"media"`
	STUN      []string  `yaml:"stun"` // servers that tell browsers their public addresses: stun:HOST[:PORT] (RFC 7064)
	TURN      TURN      `yaml:"turn"`
	Billing   Billing   `yaml:"billing"`
	Limits    Limits    `yaml:"limits"`
	RPC       RPC       `yaml:"rpc"`
	Tokens    []Token   `yaml:"tokens"`
	Users     []User    `yaml:"users"`
	Trunks    []Trunk   `yaml:"trunks"`
	Apps      []App     `yaml:"apps"`
	Groups    []Group   `yaml:"groups"`
	Routing   Routing   `yaml:"routing"`
	Emergency Emergency `yaml:"emergency"`
	Outbound  Outbound  `yaml:"outbound"` // of each user, where the user's own says nothing
	Tenants   []Tenant  `yaml:"tenants"`
	Tariffs   []Tariff  `yaml:"tariffs"`
	Rating    Rating    `yaml:"rating"`
	Webhooks  []Webhook `yaml:"webhooks"`
	Routes    []Route   `yaml:"routes"`
}

// Node is this process among others.
type Node struct {
	Name  string        `yaml:"name"`  // in records and logs; the host's name if empty
	Data  string        `yaml:"data"`  // folder of everything that must outlive the process
	Drain time.Duration `yaml:"drain"` // how long a stop waits for running calls before it hangs them up; 0 = at once
}

// Log is where and how much is told.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// HTTP is the one HTTP server.
type HTTP struct {
	Listen  netip.AddrPort `yaml:"listen"`
	Origins []string       `yaml:"origins"` // of web pages that may use us beside our own, such as https://crm.example.com
}

// HTTPS is the same server over TLS.
type HTTPS struct {
	Listen      netip.AddrPort `yaml:"listen"`      // port 8433 of http.listen's address if not set
	Certificate string         `yaml:"certificate"` // PEM file, intermediates after the server's own; a self-signed one if empty
	Key         string         `yaml:"key"`         // PEM file
}

// httpsPort is Kurento's own for its WebSocket over TLS.
const httpsPort = 8433

// https is where HTTPS is served.
func (c *Config) https() netip.AddrPort {
	if c.HTTPS.Listen.IsValid() || !c.HTTP.Listen.IsValid() {
		return c.HTTPS.Listen
	}
	return netip.AddrPortFrom(c.HTTP.Listen.Addr(), httpsPort)
}

// SIP is the signalling side that users and carriers meet.
type SIP struct {
	Listen          []Listen         `yaml:"listen"`
	Domain          string           `yaml:"domain"`           // of our users; the advertised host if empty
	Country         string           `yaml:"country"`          // ISO 3166-1: whose national numbers users dial; none if empty
	Realm           string           `yaml:"realm"`            // of digest challenges (RFC 7616 3.3); an HA1 is bound to it
	Digest          []string         `yaml:"digest"`           // algorithms that users are challenged with; those of SHA-256 and MD5 that every user can answer if empty
	DigestSimple    []string         `yaml:"digest_simple"`    // beginnings of User-Agent of phones that give up at several challenges: they get the simplest
	Scanners        []string         `yaml:"scanners"`         // beginnings of User-Agent, in any case, of who gets no answer while it isn't known
	UserAgent       string           `yaml:"user_agent"`       // User-Agent and Server headers
	ResponseTimeout time.Duration    `yaml:"response_timeout"` // a hop that gives no response at all is given up after this
	DNS             []netip.AddrPort `yaml:"dns"`              // name servers that carriers' names are asked of; those of /etc/resolv.conf if empty
	Session         time.Duration    `yaml:"session"`          // how often a call proves that both sides still live (RFC 4028); 0 = never
	RegisterMin     time.Duration    `yaml:"register_min"`     // shortest registration of a user that is granted (else 423, RFC 3261 10.3)
	RegisterMax     time.Duration    `yaml:"register_max"`     // longest; what asks for more gets this
	DSCP            int              `yaml:"dscp"`             // of what is sent over UDP, TCP and TLS (RFC 2474); 0 = not marked
	TrunkMessages   int              `yaml:"trunk_messages"`   // a second, from one address of a trunk, those of its calls not counted
}

// Listen is one SIP listener.
type Listen struct {
	Transport string         `yaml:"transport"` // udp, tcp, tls; tls shows the certificate of HTTPS
	Address   netip.AddrPort `yaml:"address"`   // what the socket binds to
	Advertise string         `yaml:"advertise"` // host or host:port in Contact and Via; the bound one if empty
}

// Media is what RTP uses unless a user or a trunk says otherwise.
type Media struct {
	Addresses []MediaInterface `yaml:"addresses"` // the first of each address family is the default
	Ports     Ports            `yaml:"ports"`
	WebRTC    WebRTC           `yaml:"webrtc"`
	Codecs    []string         `yaml:"codecs"`  // in order of preference: PCMU, PCMA, opus
	DTMF      string           `yaml:"dtmf"`    // rfc4733, info, inband, none
	Timeout   time.Duration    `yaml:"timeout"` // a leg that hears nothing for this long, and isn't on hold, ends the call; 0 = never
	DSCP      int              `yaml:"dscp"`    // of RTP and RTCP (RFC 2474); 0 = not marked
	XR        bool             `yaml:"xr"`      // legs ask for RTCP's extended reports, and send them to who asks (RFC 3611)
	Root      string           `yaml:"root"`    // folder of the files that programs play and record; media in node.data if empty
	URLs      URLs             `yaml:"urls"`
}

// MediaInterface is where RTP is received, with a name that users and trunks may pick it by.
type MediaInterface struct {
	Name      string     `yaml:"name"` // may be that of one IPv4 and one IPv6 address
	Bind      netip.Addr `yaml:"bind"`
	Advertise netip.Addr `yaml:"advertise"` // in SDP; the bound one if not set
}

// defaults are the addresses that nobody has to name: the first of each family.
func (m Media) defaults() []MediaInterface {
	var out []MediaInterface
	for _, a := range m.Addresses {
		if a.Bind.IsValid() && !slices.ContainsFunc(out, func(o MediaInterface) bool { return o.Bind.Is4() == a.Bind.Is4() }) {
			out = append(out, a)
		}
	}
	return out
}

func (m MediaInterface) address() MediaAddress { return MediaAddress{m.Bind, m.Advertise} }

// MediaAddress is where a trunk's RTP is received.
type MediaAddress struct {
	Bind      netip.Addr `yaml:"bind"`
	Advertise netip.Addr `yaml:"advertise"` // in SDP; the bound one if not set
}

// WebRTC is where browsers' media is received, on each of Media.Addresses.
type WebRTC struct {
	Port uint16 `yaml:"port"` // UDP, one for all browsers; 0 = browsers can't call
	TCP  bool   `yaml:"tcp"`  // ICE over TCP on the port of the same number
}

// TURN is a server that relays for browsers which can't reach us directly. They are told credentials that end.
type TURN struct {
	URLs   []string      `yaml:"urls"`   // turn: or turns:HOST[:PORT][?transport=udp or tcp] (RFC 7065)
	Secret Secret        `yaml:"secret"` // that the server shares with us: coturn's static-auth-secret
	TTL    time.Duration `yaml:"ttl"`    // of a user's credentials, from the login
}

// Ports is an inclusive range of UDP ports. A leg takes two: RTP on an even one, RTCP on the next.
type Ports struct {
	Min uint16 `yaml:"min"`
	Max uint16 `yaml:"max"`
}

// Billing is how records are kept.
type Billing struct {
	Database Secret        `yaml:"database"` // auto, none, or postgres://user:password@host/name
	Dir      string        `yaml:"dir"`      // journal and private cluster; <data>/billing if empty
	Stall    time.Duration `yaml:"stall"`    // a commit slower than this refuses new calls until one is faster
	MinFree  Size          `yaml:"min_free"` // less free disk space than this alarms
	Reserve  Size          `yaml:"reserve"`  // kept allocated for the records of the calls that run when the disk is full
	DTMF     string        `yaml:"dtmf"`     // masked, clear: how digits stand in records

	PartialAfter time.Duration `yaml:"partial_after"` // a call that lasts so long from its answer is put on record as it is; 0 = never
	PartialEvery time.Duration `yaml:"partial_every"` // and again after each of these
	Retention    Retention     `yaml:"retention"`
	CallsFile    CallsFile     `yaml:"calls_file"`
}

// Retention is for how many days records are kept, by what they are; 0 = for ever.
type Retention struct {
	Events  int `yaml:"events"`
	Quality int `yaml:"quality"`
	Calls   int `yaml:"calls"`

	Export string `yaml:"export"` // folder of what is dropped; none = it isn't kept; export in billing.dir if empty
}

// Limits bound what the whole node takes on.
type Limits struct {
	Calls      int           `yaml:"calls"`      // calls at a time; the next gets 503
	Duration   time.Duration `yaml:"duration"`   // of one call, from its answer
	Ring       time.Duration `yaml:"ring"`       // how long a callee rings, unless its hop says otherwise
	Hops       int           `yaml:"hops"`       // Max-Forwards of what is sent, at most (RFC 3261 20.22)
	Diversions int           `yaml:"diversions"` // a call that was diverted more often is refused
	Full       int           `yaml:"full"`       // 503, 486: what a call beyond a bound of a user, application or trunk gets
}

// RPC is what JSON-RPC clients, together, may take.
type RPC struct {
	MaxMessage  Size          `yaml:"max_message"` // of one request
	MaxQueued   Size          `yaml:"max_queued"`  // unsent, of one client; who leaves more unread is cut off
	Connections int           `yaml:"connections"` // at a time, as are sessions and objects
	Sessions    int           `yaml:"sessions"`
	Objects     int           `yaml:"objects"`
	Keep        time.Duration `yaml:"keep"`      // how long a session outlives its connection, and what only it refers to with it
	ICEHosts    []string      `yaml:"ice_hosts"` // STUN and TURN servers on this machine, or on its link, that tokens may use
}

// Token lets a program of another host, or of another tenant, use JSON-RPC.
type Token struct {
	ID          string    `yaml:"id"`
	Tenant      string    `yaml:"tenant"`
	Secret      Secret    `yaml:"secret"` // either this
	SHA256      Secret    `yaml:"sha256"` // or its hash, 64 hex digits
	Roles       []string  `yaml:"roles"`  // read, control, billing, admin
	Expires     time.Time `yaml:"expires"`
	Objects     int       `yaml:"objects"` // of its tenant at a time; 0 = rpc's bound, as of those that follow
	Sessions    int       `yaml:"sessions"`
	Connections int       `yaml:"connections"`
	Requests    int       `yaml:"requests"` // per second
}

// User is a person or a desk phone that registers here.
type User struct {
	ID         string        `yaml:"id"`
	Tenant     string        `yaml:"tenant"`
	Login      string        `yaml:"login"`    // SIP user name, also for the digest; the id if empty
	Password   Secret        `yaml:"password"` // either this
	HA1        HA1           `yaml:"ha1"`      // or the hash of login:realm:password
	Numbers    []string      `yaml:"numbers"`  // who calls one of them, or the login, reaches the user
	CallerID   string        `yaml:"caller_id"`
	CallerName string        `yaml:"caller_name"`
	Codecs     []string      `yaml:"codecs"`    // media.codecs if empty
	Transcode  string        `yaml:"transcode"` // allow, never
	DTMF       string        `yaml:"dtmf"`      // media.dtmf if empty
	SRTP       string        `yaml:"srtp"`      // never, prefer, require
	Interface  string        `yaml:"interface"` // name of the media.addresses of this user's phones; the defaults if empty
	MaxCalls   int           `yaml:"max_calls"` // of this user at a time, both ways; 0 = limits.calls
	MaxRate    float64       `yaml:"max_rate"`  // calls that the user may begin per second; 0 = any
	Duration   time.Duration `yaml:"duration"`  // of one call, from its answer; 0 = limits.duration
	Forward    Forward       `yaml:"forward"`
	Outbound   Outbound      `yaml:"outbound"`
	Tariff     string        `yaml:"tariff"`    // what the user pays for calls through trunks; the tenant's if empty, as with those that follow
	TariffIn   string        `yaml:"tariff_in"` // for calls from trunks that the user takes, or has forwarded

	TariffInternal string `yaml:"tariff_internal"` // for calls to others of the house
}

// HA1 are hashes that stand for a password (RFC 7616 3.4.2), in hex; one value alone is that of MD5.
type HA1 struct {
	MD5       Secret `yaml:"MD5"`
	SHA256    Secret `yaml:"SHA-256"`
	SHA512256 Secret `yaml:"SHA-512-256"`
}

// Trunk is a carrier that we exchange calls with.
type Trunk struct {
	ID         string         `yaml:"id"`
	Tenant     string         `yaml:"tenant"`
	Mode       string         `yaml:"mode"`      // register, address, carrier
	Registrar  string         `yaml:"registrar"` // host or host:port that we register at
	Bulk       bool           `yaml:"bulk"`      // all numbers of the account are registered at once (RFC 6140)
	Proxy      string         `yaml:"proxy"`     // host or host:port that every request is sent to; the registrar if empty
	Outbound   string         `yaml:"outbound"`  // host or host:port of a proxy that all of it goes through, REGISTER too (RFC 3261 8.1.2)
	Transport  string         `yaml:"transport"` // udp, tcp, tls
	TLS        TrunkTLS       `yaml:"tls"`
	Domain     string         `yaml:"domain"`        // in the URIs of From, To and the request; the host of registrar or proxy if empty
	User       string         `yaml:"user"`          // our account there
	AuthUser   string         `yaml:"auth_user"`     // digest user name; user if empty
	Password   Secret         `yaml:"password"`      // either this
	HA1        HA1            `yaml:"ha1"`           // or the hash of auth_user:realm:password
	Realm      string         `yaml:"realm"`         // whose challenges are answered; any if empty
	Expires    time.Duration  `yaml:"expires"`       // asked of the registrar; what it grants counts
	Addresses  []netip.Prefix `yaml:"addresses"`     // whose calls are this trunk's
	Bind       netip.AddrPort `yaml:"bind"`          // local address of its signalling; the system's choice if not set
	Advertise  string         `yaml:"advertise"`     // host or host:port in its Contact and Via
	Media      MediaAddress   `yaml:"media"`         // media.addresses if not set
	Interface  string         `yaml:"interface"`     // or those of media.addresses that have this name
	Ptime      time.Duration  `yaml:"ptime"`         // of packets of G.711, asked for and sent; 0 = as the carrier asks, else 20 ms
	Codecs     []string       `yaml:"codecs"`        // media.codecs if empty
	Transcode  string         `yaml:"transcode"`     // allow, never
	DTMF       string         `yaml:"dtmf"`          // media.dtmf if empty
	SRTP       string         `yaml:"srtp"`          // never, prefer, require
	Transfers  bool           `yaml:"transfers"`     // its REFER, and INVITE with Replaces, are taken: it may transfer our parties, at our expense
	Refer      string         `yaml:"refer"`         // never, prefer: whether it is asked to transfer its parties itself (RFC 3515)
	Overload   bool           `yaml:"overload"`      // calls are held back when the carrier asks for it, and it is asked when we have too many (RFC 7339)
	Options    time.Duration  `yaml:"options"`       // how often the carrier is asked whether it is there (RFC 3261 11); 0 = never
	Reliable   string         `yaml:"reliable"`      // offered, required, never: provisional responses by 100rel (RFC 3262)
	Conditions string         `yaml:"preconditions"` // answered, offered, never: preconditions of quality of service (RFC 3312)
	Session    time.Duration  `yaml:"session"`       // sip.session if not set
	From       string         `yaml:"from"`          // caller, account, fixed: which number stands in From
	FromNumber string         `yaml:"from_number"`
	Trusted    bool           `yaml:"trusted"` // what it says of callers is believed, and it keeps what they want kept private (RFC 3325)
	Numbers    Numbers        `yaml:"numbers"`
	Caller     TrunkCaller    `yaml:"caller"`
	Headers    TrunkHeaders   `yaml:"headers"`
	MaxCalls   int            `yaml:"max_calls"`   // both ways together; 0 = limits.calls
	In         Bounds         `yaml:"in"`          // of calls from the carrier
	Out        Bounds         `yaml:"out"`         // of calls to it
	Full       int            `yaml:"full"`        // 503, 486: what a call beyond them gets; 0 = limits.full
	Duration   time.Duration  `yaml:"duration"`    // of one call, from its answer; 0 = limits.duration
	Failover   Outcomes       `yaml:"failover"`    // of hops that say nothing else
	Called     string         `yaml:"called"`      // uri, to: where the called number of its calls stands
	Redirects  string         `yaml:"redirects"`   // refuse, own: what becomes of the carrier's 3xx
	Tariff     string         `yaml:"tariff"`      // what we pay for calls to it
	TariffIn   string         `yaml:"tariff_in"`   // what we pay for calls from it
	TariffSell string         `yaml:"tariff_sell"` // what it pays for calls that it brings and that go out through another
}

// App is an application that takes calls over JSON-RPC, and makes them. Calls can be made without being one.
type App struct {
	ID         string `yaml:"id"`
	Tenant     string `yaml:"tenant"`
	CallerID   string `yaml:"caller_id"`   // of calls that it makes, unless it says otherwise; anonymous if empty
	CallerName string `yaml:"caller_name"` // likewise
	MaxCalls   int    `yaml:"max_calls"`   // at a time, both ways; 0 = limits.calls

	Stream AppStream `yaml:"stream"` // its calls go to a WebSocket server
}

// AppStream is a WebSocket server that takes an application's calls, one connection for each (docs/streams.md).
type AppStream struct {
	URL        string        `yaml:"url"`   // ws or wss; none: clients take the calls over JSON-RPC
	Token      Secret        `yaml:"token"` // sent as Authorization: Bearer
	Encoding   string        `yaml:"encoding"`
	Rate       int           `yaml:"rate"`       // Hz
	Binary     bool          `yaml:"binary"`     // audio to the application in binary messages
	Buffer     time.Duration `yaml:"buffer"`     // of what waits to be played
	Parameters []string      `yaml:"parameters"` // name=value, told in start
}

// Bounds of the calls of one direction.
type Bounds struct {
	MaxCalls int     `yaml:"max_calls"` // at a time; 0 = the trunk's max_calls
	MaxRate  float64 `yaml:"max_rate"`  // that begin per second; 0 = any
}

// TrunkTLS is how a carrier and we prove to each other who we are, with transport tls.
type TrunkTLS struct {
	Name        string   `yaml:"name"`        // whom the carrier's certificate must name; the host that we connect to if empty
	CA          string   `yaml:"ca"`          // PEM file: who may vouch for the carrier; the system's if empty
	Certificate string   `yaml:"certificate"` // PEM file: ours, if the carrier wants one
	Key         string   `yaml:"key"`         // PEM file
	Clients     []string `yaml:"clients"`     // names in certificates that calls of the carrier's come with; needs ca
}

// Route says where calls go. The first whose source, number and hours fit is taken, or what Routing says.
type Route struct {
	ID      string   `yaml:"id"`
	Tenant  string   `yaml:"tenant"`
	Source  []string `yaml:"source"`  // any, user, trunk, app, user:ID, trunk:ID, app:ID
	Number  []string `yaml:"number"`  // exact, prefix followed by *, or /regular expression/; any number if empty
	Strip   int      `yaml:"strip"`   // characters taken off the front
	Prefix  string   `yaml:"prefix"`  // then put in front
	Replace string   `yaml:"replace"` // or the whole number; $1 is a regular expression's first group
	Hours   Hours    `yaml:"hours"`   // when it takes calls
	By      string   `yaml:"by"`      // listed, cost: the order in which hops are tried
	To      []Hop    `yaml:"to"`
}

// Hop is one place that a route tries. One of Trunk, User, App and Group is set.
type Hop struct {
	Trunk    string        `yaml:"trunk"`
	User     string        `yaml:"user"`
	App      string        `yaml:"app"`
	Group    string        `yaml:"group"`
	Cost     string        `yaml:"cost"`     // of a minute, a decimal number
	Weight   int           `yaml:"weight"`   // the odds to be tried first, among neighbours that have one
	Failover []string      `yaml:"failover"` // outcomes that go on to the next hop: retry, none, or SIP statuses
	Ring     time.Duration `yaml:"ring"`     // limits.ring if 0
}
