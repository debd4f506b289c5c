package gateway

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// FieldError says what is wrong with a value that an application gave.
type FieldError struct {
	Field   string
	Problem string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

func bad(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// Bounds of what an application may write, in bytes.
const (
	maxName    = 128  // of a number, a name, an id
	maxPhrase  = 200  // of words for the peer or the record
	maxURI     = 1024 // of a SIP URI
	maxHeader  = 1024 // of a header field's value
	maxHeaders = 32   // how many
)

// checkText refuses what must not reach a SIP message: control characters, CR and LF first of all, and broken UTF-8.
func checkText(field, s string, most int) error {
	if len(s) > most {
		return bad(field, "has %d bytes: expected at most %d", len(s), most)
	}
	if !utf8.ValidString(s) {
		return bad(field, "%q: expected UTF-8", clip(s))
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return bad(field, "%q: has the control character %U", clip(s), r)
		}
	}
	return nil
}

// checkExtra refuses header fields that an application may not set: all but X-….
func checkExtra(headers []sip.Header) error {
	if len(headers) > maxHeaders {
		return bad("headers", "are %d: expected at most %d", len(headers), maxHeaders)
	}
	for _, h := range headers {
		if len(h.Name) < 3 || !strings.EqualFold(h.Name[:2], "X-") || len(h.Name) > maxName || !wire.IsToken(h.Name) {
			return bad("headers", "%q: expected names that begin with X-", clip(h.Name))
		}
		if err := checkText("headers "+h.Name, h.Value, maxHeader); err != nil {
			return err
		}
	}
	return nil
}

func checkDigits(digits string) error {
	if digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789*#ABCD") != "" {
		return bad("digits", "%q: expected 1 to %d of 0-9*#A-D", clip(digits), maxDigits)
	}
	return nil
}

// checkUser refuses what can't be the user part of a SIP URI of a host.
func checkUser(field, user, host string) error {
	if err := checkText(field, user, maxName); err != nil {
		return err
	}
	if _, err := sip.NewURI(user, host, 0); err != nil {
		return bad(field, "%q: %v", clip(user), err)
	}
	return nil
}

// parseTarget reads a number, or a sip, sips or tel URI. number is what a route or a carrier dials, uri is zero for a plain
// number.
func parseTarget(field, s string) (digits string, uri sip.URI, err error) {
	if err := checkText(field, s, maxURI); err != nil {
		return "", uri, err
	}
	scheme, _, isURI := strings.Cut(strings.ToLower(s), ":")
	if !isURI || scheme != "sip" && scheme != "sips" && scheme != "tel" {
		if s == "" || strings.ContainsAny(s, " @:<>\"") {
			return "", uri, bad(field, "%q: expected a number, or a sip or tel URI", clip(s))
		}
		if tooLong(s) {
			return "", uri, bad(field, "%q: %s", clip(s), numberTooLong)
		}
		return s, uri, checkUser(field, s, "host.invalid")
	}
	if uri, err = sip.ParseURI(s); err == nil && uri.Headers != "" {
		err = errors.New("header fields don't belong into it")
	}
	if err == nil && escapedControl(s) {
		err = errors.New("has an escaped control character")
	}
	if err != nil {
		return "", uri, bad(field, "%q: %v", clip(s), err)
	}
	if digits = number(uri); tooLong(digits) {
		return "", uri, bad(field, "%q: %s", clip(s), numberTooLong)
	}
	return digits, uri, nil
}

// maxNumber is how many characters a number or name has that is called, or calls: what is longer is refused, since a part of it is somebody
// else's number.
const maxNumber = 64

const (
	numberTooLong = "the number or name has more than 64 characters"
	callerTooLong = "the caller's number or name has more than 64 characters"
)

func tooLong(number string) bool { return utf8.RuneCountInString(number) > maxNumber }

// escapedControl tells whether a URI has a control character in it, escaped (RFC 3261 25.1). It means nothing in a number or a
// name, and a peer that unescapes early would take it for what it stands for.
func escapedControl(s string) bool {
	for i := 0; i+2 < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil && (b[0] < ' ' || b[0] == 0x7f) {
			return true
		}
	}
	return false
}
