package webrtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLog hands pion's logs on. What it calls errors and warnings are a peer's doing as a rule: a packet that came too late,
// a record that can't be read. They are for who looks for them.
type pionLog struct {
	to    *slog.Logger
	scope string
}

var _ logging.LoggerFactory = pionLog{}

func (l pionLog) NewLogger(scope string) logging.LeveledLogger { return pionLog{l.to, scope} }

func (l pionLog) say(text func() string) {
	if l.to.Enabled(context.Background(), slog.LevelDebug) {
		l.to.Debug(text(), "scope", l.scope)
	}
}

func (l pionLog) plain(s string)           { l.say(func() string { return s }) }
func (l pionLog) format(s string, a []any) { l.say(func() string { return fmt.Sprintf(s, a...) }) }

func (pionLog) Trace(string)                {}
func (pionLog) Tracef(string, ...any)       {}
func (pionLog) Debug(string)                {}
func (pionLog) Debugf(string, ...any)       {}
func (l pionLog) Info(s string)             { l.plain(s) }
func (l pionLog) Infof(s string, a ...any)  { l.format(s, a) }
func (l pionLog) Warn(s string)             { l.plain(s) }
func (l pionLog) Warnf(s string, a ...any)  { l.format(s, a) }
func (l pionLog) Error(s string)            { l.plain(s) }
func (l pionLog) Errorf(s string, a ...any) { l.format(s, a) }
