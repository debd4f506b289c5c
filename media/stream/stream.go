// Package stream is an element whose far side is an application at the end of a WebSocket: what it hears goes out as messages, what the
// application sends is played. Voice agents, transcription and translation need no more of telephony.
//
// A message is JSON, with a member "event"; docs/streams.md lists all. Audio is linear PCM of 16 bits (least significant byte first,
// as WAV files and speech services have it), or G.711.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
)

// Encoding of audio in messages.
type Encoding string

const (
	PCM16 Encoding = "pcm16" // 16 bits, least significant byte first
	PCMU  Encoding = "pcmu"
	PCMA  Encoding = "pcma"
)

// Encodings are all there are.
func Encodings() []Encoding { return []Encoding{PCM16, PCMU, PCMA} }

// Rates are those of PCM16, in Hz. G.711 has 8000 alone.
func Rates() []int { return []int{8000, 16000, 24000} }

const (
	// DefaultBuffer is how much audio waits to be played unless Config says otherwise.
	DefaultBuffer = 60 * time.Second
	maxBuffer     = 10 * time.Minute
	maxMessage    = 1 << 20
	writeTime     = 5 * time.Second
	pingEvery     = 20 * time.Second
	patience      = 50 * time.Second // without a message or a pong
	goodbye       = time.Second
	maxWrong      = 100 // messages
)

// Config of a stream.
type Config struct {
	URL    string // ws or wss
	Header http.Header
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: any address may be reached
	TLS    *tls.Config                                                          // of wss; nil: the system's authorities

	Encoding Encoding      // "" = PCM16
	Rate     int           // Hz; 0 = 16000 of PCM16, else 8000
	Binary   bool          // audio goes out as binary messages; what comes may be either
	Buffer   time.Duration // of what waits to be played, 1s to 10m; 0 = DefaultBuffer
	Start    Start

	Clock    *media.Clock
	Registry *media.Registry
	// Digits: telephone-events that the element hears are told to the application, and it may send some. Otherwise its owner calls
	// Digit, and is asked to send.
	Digits bool
	// Post is told what happens, in order; it must not block, nor call Close. It may be nil.
	Post func(Event)
	// Transfers: the application may ask for the event Transfer.
	Transfers bool
	Log       *slog.Logger
}

// Start is what the application is told first.
type Start struct {
	ID         string            // of the stream
	Call       string            // id of the call, "" if there is none
	From, To   string            // who calls whom
	Headers    map[string]string // X- header fields of the call
	Parameters map[string]string // whatever the owner wants to tell
}

// Event is what a stream tells its owner.
type Event struct {
	Kind   Kind
	Text   string // of Marked: the name; Dial: the digits; Transfer: to whom; Stopped: the reason
	Failed error  // of Stopped: why the connection broke; nil if one side said stop
	Missed bool   // of Marked: it was cleared before it was played
}

// Kind of an Event.
type Kind uint8

const (
	Marked   Kind = iota + 1 // what the application sent before a mark has been played
	Dial                     // the application wants digits sent
	Transfer                 // the application wants the caller to speak with somebody else; Transferred tells it what became of that
	Stopped                  // the last event: the application said stop, or the connection broke; not told after Close
)

// Stream is the element.
type Stream struct {
	cfg Config
	ws  *websocket.Conn
	log *slog.Logger

	ear   ear
	mouth mouth
	keys  *dtmf.Sender // nil: the owner sends digits

	stop    func() // of the clock
	quit    chan struct{}
	once    sync.Once
	workers sync.WaitGroup
	reason  string // of the end, as the application is told; set before quit is closed
}

// Check tells which member of a configuration is wrong, by its name in settings, and what was expected.
func (cfg *Config) Check() (field, expected string, ok bool) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.User != nil || u.Fragment != "":
		return "url", "expected ws:// or wss:// with a host, without user and fragment", false
	case !slices.Contains(Encodings(), cfg.encoding()):
		return "encoding", "expected pcm16, pcmu or pcma", false
	case cfg.encoding() == PCM16 && !slices.Contains(Rates(), cfg.rate()):
		return "rate", "expected 8000, 16000 or 24000", false
	case cfg.encoding() != PCM16 && cfg.rate() != 8000:
		return "rate", fmt.Sprintf("expected 8000, as %s has no other", cfg.Encoding), false
	case cfg.buffer() < time.Second || cfg.buffer() > maxBuffer:
		return "buffer", "expected 1s to 10m", false
	}
	return "", "", true
}

// value is what a configuration has for one of the members that Check names.
func (cfg *Config) value(field string) any {
	return map[string]any{"url": host(cfg.URL), "encoding": cfg.Encoding, "rate": cfg.Rate, "buffer": cfg.Buffer}[field]
}

func (cfg *Config) encoding() Encoding {
	if cfg.Encoding == "" {
		return PCM16
	}
	return cfg.Encoding
}

func (cfg *Config) rate() int {
	switch {
	case cfg.Rate != 0:
		return cfg.Rate
	case cfg.encoding() == PCM16:
		return 16000
	}
	return 8000
}

func (cfg *Config) buffer() time.Duration {
	if cfg.Buffer == 0 {
		return DefaultBuffer
	}
	return cfg.Buffer
}

// format is that of frames.
func (cfg *Config) format() *media.Format {
	switch cfg.encoding() {
	case PCMU:
		return media.PCMU()
	case PCMA:
		return media.PCMA()
	}
	return media.L16(cfg.rate())
}

// Open connects to the application and tells it of the stream. Media flows once it returns.
func Open(ctx context.Context, cfg Config) (*Stream, error) {
	if field, expected, ok := cfg.Check(); !ok {
		return nil, fmt.Errorf("stream: %s is %v: %s", field, cfg.value(field), expected)
	}
	cfg.Encoding, cfg.Rate, cfg.Buffer = cfg.encoding(), cfg.rate(), cfg.buffer()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := websocket.Dialer{NetDialContext: cfg.Dial, TLSClientConfig: cfg.TLS, HandshakeTimeout: 10 * time.Second, Subprotocols: []string{Protocol}}
	ws, resp, err := d.DialContext(ctx, cfg.URL, cfg.Header)
	if err != nil {
		return nil, fmt.Errorf("stream: connect to %s: %w", host(cfg.URL), refusal(err, resp))
	}
	s, err := begin(ws, cfg)
	if err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	return s, nil
}

// Protocol is the WebSocket subprotocol that is offered.
const Protocol = "patchbay.stream.v1"

// host is what may stand in a log of a URL: its path and query may hold secrets.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "?"
	}
	return u.Scheme + "://" + u.Host
}

// refusal says how a server answered that didn't upgrade.
func refusal(err error, resp *http.Response) error {
	if resp == nil || !errors.Is(err, websocket.ErrBadHandshake) {
		return err
	}
	return fmt.Errorf("answered %s instead of 101 Switching Protocols", strings.TrimSpace(resp.Status))
}

func begin(ws *websocket.Conn, cfg Config) (*Stream, error) {
	s := &Stream{cfg: cfg, ws: ws, log: cfg.Log, quit: make(chan struct{})}
	s.ear.init(&s.cfg)
	s.mouth.init(s)
	ws.SetReadLimit(maxMessage)
	if cfg.Digits {
		keys, err := dtmf.NewSender(dtmf.Config{Clock: cfg.Clock, Registry: cfg.Registry, Post: func(media.Notice) { s.mouth.spoken() }})
		if err != nil {
			return nil, err
		}
		s.keys = keys
	}
	if err := s.write(startOf(&cfg)); err != nil {
		return nil, fmt.Errorf("stream: tell %s of the stream: %w", host(cfg.URL), err)
	}
	s.workers.Go(s.send)
	s.workers.Go(s.receive)
	s.stop = cfg.Clock.While(func(time.Time) bool { return s.mouth.tick() })
	return s, nil
}

// Digit tells the application of a digit that the caller pressed, for so many ms.
func (s *Stream) Digit(digit byte, ms int) {
	s.ear.digit(digit, ms)
}

// Wrong tells the application that what it asked for can't be done.
func (s *Stream) Wrong(message string) { s.ear.wrong(message) }

// Transferred tells the application what became of a transfer: a SIP status and its words. From 200 on to 299 it worked, and the call ends.
func (s *Stream) Transferred(status int, phrase string) {
	s.ear.say(message{Event: "transfer", Status: status, Reason: phrase})
}

// Sink is where what the application is to hear enters, for the zero Pad.
func (s *Stream) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return &s.ear
	}
	return nil
}

// Source is where what it says leaves, for the zero Pad.
func (s *Stream) Source(p media.Pad) *media.Source {
	if p == (media.Pad{}) {
		return s.mouth.src
	}
	return nil
}

// Stats notes what went through, and what was lost.
func (s *Stream) Stats(sn *media.Snapshot) {
	sent, dropped := s.ear.counts()
	played, refused, waits := s.mouth.counts()
	sn.Note("stream.sent", float64(sent))
	sn.Note("stream.dropped", float64(dropped))
	sn.Note("stream.played", float64(played))
	sn.Note("stream.refused", float64(refused))
	sn.Note("stream.waiting_ms", float64(waits.Milliseconds()))
}

// Hangup is Close that gives the application a reason.
func (s *Stream) Hangup(reason string) error {
	s.once.Do(func() {
		s.reason = reason
		close(s.quit)
	})
	s.workers.Wait()
	if s.stop != nil {
		s.stop()
	}
	s.ear.Detach()
	var err error
	if s.keys != nil {
		err = s.keys.Close()
	}
	s.mouth.src.Close()
	return err
}

// Close tells the application that the stream is over, and ends it. Stopped isn't posted any more. It must not be called from Post.
func (s *Stream) Close() error { return s.Hangup("closed") }

// over ends the stream from within, and tells the owner.
func (s *Stream) over(reason string, err error) {
	mine := false
	s.once.Do(func() {
		mine = true
		s.reason = reason
		close(s.quit)
	})
	if mine {
		s.ear.shut()
		s.mouth.end()
		s.post(Event{Kind: Stopped, Text: reason, Failed: err})
	}
}

func (s *Stream) post(e Event) {
	if s.cfg.Post != nil {
		s.cfg.Post(e)
	}
}
