package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// message is one of either side.
type message struct {
	Event     string `json:"event"`
	Sequence  uint64 `json:"sequence,omitempty"`
	Timestamp *int64 `json:"timestamp,omitempty"` // ms of audio since the stream's first
	Payload   []byte `json:"payload,omitempty"`   // base64
	Name      string `json:"name,omitempty"`      // of a mark
	Cleared   bool   `json:"cleared,omitempty"`
	Digit     string `json:"digit,omitempty"`
	Digits    string `json:"digits,omitempty"`
	Duration  int    `json:"duration,omitempty"` // ms
	Reason    string `json:"reason,omitempty"`
	To        string `json:"to,omitempty"`      // of a transfer
	Status    int    `json:"status,omitempty"`  // SIP's, of a transfer
	Message   string `json:"message,omitempty"` // of an error
}

// start is the first message.
type start struct {
	Event      string            `json:"event"`
	Version    int               `json:"version"`
	Stream     string            `json:"stream"`
	Call       *startCall        `json:"call,omitempty"`
	Media      startMedia        `json:"media"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

type startCall struct {
	ID      string            `json:"id"`
	From    string            `json:"from"`
	To      string            `json:"to"`
	Headers map[string]string `json:"headers,omitempty"`
}

type startMedia struct {
	Encoding Encoding `json:"encoding"`
	Rate     int      `json:"rate"`
	Channels int      `json:"channels"`
	Binary   bool     `json:"binary"`
	Buffer   int64    `json:"buffer"` // ms
}

func startOf(cfg *Config) start {
	m := start{Event: "start", Version: 1, Stream: cfg.Start.ID, Parameters: cfg.Start.Parameters,
		Media: startMedia{cfg.Encoding, cfg.Rate, 1, cfg.Binary, cfg.Buffer.Milliseconds()}}
	if c := cfg.Start; c.Call != "" {
		m.Call = &startCall{c.Call, c.From, c.To, c.Headers}
	}
	return m
}

// write sends one message, as JSON.
func (s *Stream) write(m any) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.put(websocket.TextMessage, b)
}

func (s *Stream) put(kind int, b []byte) error {
	if err := s.ws.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	return s.ws.WriteMessage(kind, b)
}

// send is the goroutine that writes.
func (s *Stream) send() {
	defer s.ws.Close() // ends receive, too
	beat := time.NewTicker(pingEvery)
	defer beat.Stop()
	for {
		select {
		case <-s.quit:
			// What waited is out before the end is told, or not: the application is gone, or soon will be.
			if err := s.drain(); err == nil {
				_ = s.write(message{Event: "stop", Reason: s.reason})
			}
			_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(goodbye))
			return
		case <-beat.C:
			if err := s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTime)); err != nil {
				s.over("connection lost", err)
			}
		case <-s.ear.wake:
			if err := s.drain(); err != nil {
				s.over("connection lost", fmt.Errorf("stream: write to %s: %w", host(s.cfg.URL), err))
			}
		}
	}
}

// drain writes all that waits.
func (s *Stream) drain() error {
	for {
		kind, b := s.ear.next()
		if b == nil {
			return nil
		}
		if err := s.put(kind, b); err != nil {
			return err
		}
	}
}

// receive is the goroutine that reads.
func (s *Stream) receive() {
	alive := func(string) error { return s.ws.SetReadDeadline(time.Now().Add(patience)) }
	s.ws.SetPongHandler(alive)
	_ = alive("")
	for wrong := 0; ; {
		kind, b, err := s.ws.ReadMessage()
		if err != nil {
			s.over(s.lost(err))
			return
		}
		_ = alive("")
		if kind == websocket.BinaryMessage {
			err = s.mouth.play(b)
		} else {
			err = s.take(b)
		}
		switch {
		case errors.Is(err, errStop):
			return
		case err != nil:
			s.ear.wrong(err.Error())
			if _, full := errors.AsType[fullError](err); full {
				continue
			}
			if wrong++; wrong == maxWrong {
				s.over("too many wrong messages", fmt.Errorf("stream: %d messages of %s were wrong, the last: %w", wrong, host(s.cfg.URL), err))
				return
			}
		}
	}
}

// lost tells how a connection ended: an application that closes it in order has stopped.
func (s *Stream) lost(err error) (string, error) {
	var timeout net.Error
	switch {
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway):
		return "application closed", nil
	case errors.Is(err, websocket.ErrReadLimit):
		return "message too large", fmt.Errorf("stream: a message of %s has more than %d bytes", host(s.cfg.URL), maxMessage)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "connection lost", fmt.Errorf("stream: nothing from %s for %s, not even an answer to a ping", host(s.cfg.URL), patience)
	}
	return "connection lost", fmt.Errorf("stream: read from %s: %w", host(s.cfg.URL), err)
}

var errStop = errors.New("stop")

// take does what a message asks for.
func (s *Stream) take(b []byte) error {
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("message isn't JSON of the form {\"event\": …}: %w", err)
	}
	switch m.Event {
	case "media":
		return s.mouth.play(m.Payload)
	case "mark":
		if m.Name == "" || len(m.Name) > 256 {
			return fmt.Errorf("name of a mark has %d bytes, expected 1 to 256", len(m.Name))
		}
		return s.mouth.mark(m.Name)
	case "clear":
		s.mouth.clear()
	case "dtmf":
		digits := m.Digits + m.Digit
		if digits == "" || len(digits) > 64 || strings.Trim(digits, "0123456789*#ABCDabcd") != "" {
			return fmt.Errorf("digits is %.80q, expected 1 to 64 of 0-9*#A-D", digits)
		}
		if s.keys != nil {
			return s.mouth.dial(digits)
		}
		s.post(Event{Kind: Dial, Text: digits})
	case "transfer":
		if !s.cfg.Transfers {
			return s.unknown(m.Event)
		}
		if m.To == "" || len(m.To) > 256 {
			return fmt.Errorf("to is %.80q, expected a number or a sip or tel URI of 1 to 256 bytes", m.To)
		}
		s.post(Event{Kind: Transfer, Text: m.To})
	case "stop":
		s.over(clip(m.Reason), nil)
		return errStop
	default:
		return s.unknown(m.Event)
	}
	return nil
}

// unknown is what is wrong with a message of an event that isn't the application's.
func (s *Stream) unknown(event string) error {
	more := ""
	if s.cfg.Transfers {
		more = ", transfer"
	}
	return fmt.Errorf("event is %.80q, expected media, mark, clear, dtmf%s or stop", event, more)
}

// clip makes a reason fit for a record.
func clip(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, reason)
	if reason == "" {
		return "application stopped"
	}
	return strings.ToValidUTF8(reason[:min(len(reason), 100)], "") // a character that is cut is none, and no record takes it
}
