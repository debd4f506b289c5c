package sdp

import (
	"errors"
	"fmt"
	"strings"
)

// Why an offer or an answer can't be agreed to. They come wrapped in a *Refusal.
var (
	ErrNoAudio   = errors.New("no audio")
	ErrNoCodec   = errors.New("no common codec")
	ErrTransport = errors.New("no common transport")
	ErrAddress   = errors.New("address that can't be reached")
	ErrShape     = errors.New("answer doesn't fit the offer")
)

// Refusal is an offer or an answer that can't be agreed to, in the form of a SIP Warning (RFC 3261 20.43).
type Refusal struct {
	Code int    // 301, 302, 304 or 305; 399 for what has no code
	Text string // one sentence, ready for the quoted string: no quotes, no control characters
	Err  error  // one of the errors above
	SDP  []byte // for the body of a 580 (RFC 3312 8); of ErrPrecondition alone
}

func (r *Refusal) Error() string { return "sdp: " + r.Err.Error() + ": " + r.Text }
func (r *Refusal) Unwrap() error { return r.Err }

// Warning takes code and sentence for a 488's Warning header out of an error; ok is false if it has none.
func Warning(err error) (code int, text string, ok bool) {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code, r.Text, true
	}
	return 0, "", false
}

// Refuse makes a Refusal of one of the errors above. The sentence may hold a peer's words: what a quoted string can't
// hold is replaced, and its length is limited.
func Refuse(err error, format string, args ...any) *Refusal {
	code := 399
	switch err {
	case ErrAddress:
		code = 301
	case ErrTransport:
		code = 302
	case ErrNoAudio:
		code = 304
	case ErrNoCodec:
		code = 305
	}
	return &Refusal{Code: code, Text: clean(fmt.Sprintf(format, args...)), Err: err}
}

func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
	if len(s) > 300 {
		s = s[:300]
	}
	return s
}

// names lists formats for a sentence.
func names(list []Format) string {
	var s []string
	for i, f := range list {
		if i == 8 {
			s = append(s, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		if f.Codec == "" {
			s = append(s, fmt.Sprintf("payload type %d", f.PT))
			continue
		}
		s = append(s, fmt.Sprintf("%s/%d", f.Codec, f.Clock))
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}
