package phone

import (
	"fmt"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/sip"
)

// Failure is why a phone couldn't do what it was asked to, in words for who asked.
type Failure struct {
	Status int    // the SIP status that said so; 0 if none did
	Text   string // one sentence
	Err    error  // what is behind it; may be nil
}

func (f *Failure) Error() string { return f.Text }
func (f *Failure) Unwrap() error { return f.Err }

// registerFailure tells why a registration failed.
func (p *Phone) registerFailure(s sip.RegistrationStatus) *Failure {
	f := &Failure{Status: s.Status, Err: s.Err}
	switch {
	case s.Status == 401 || s.Status == 407 || s.Status == 403:
		f.Text = fmt.Sprintf("the server refuses user %q: the password is wrong, or there is no such user (%d)", p.cfg.User, s.Status)
	case s.Status != 0:
		f.Text = fmt.Sprintf("the server at %s doesn't register %q: it answers %d", p.server, p.cfg.User, s.Status)
	default:
		f.Text = fmt.Sprintf("nobody answers at %s over %s: is the server running?", p.server, p.cfg.Transport)
	}
	return f
}

// callFailure tells why a call wasn't answered. heard: the server has responded at all.
func (p *Phone) callFailure(number string, e leg.Event, heard bool) *Failure {
	f := &Failure{Status: e.Status, Err: e.Err}
	switch e.Status {
	case 404, 410, 484, 604:
		f.Text = fmt.Sprintf("number %s is unknown", number)
	case 486, 600:
		f.Text = fmt.Sprintf("%s is busy", number)
	case 403:
		f.Text = fmt.Sprintf("a call to %s is forbidden", number)
	case 401, 407:
		f.Text = fmt.Sprintf("the server refuses user %q: the password is wrong, or there is no such user", p.cfg.User)
	case 408, 480, 487:
		f.Text = fmt.Sprintf("%s doesn't answer", number)
	case 488, 606:
		f.Text = fmt.Sprintf("%s takes none of the codecs offered", number)
	case 603:
		f.Text = fmt.Sprintf("%s declines", number)
	case 500, 502, 503, 504:
		f.Text = fmt.Sprintf("%s can't be reached now", number)
	default:
		f.Text = fmt.Sprintf("the call to %s failed", number)
	}
	if e.By == sip.ByTransport || e.By == sip.ByTimeout && !heard {
		f.Text = fmt.Sprintf("nobody answers the call at %s over %s: is the server running?", p.server, p.cfg.Transport)
		return f
	}
	if e.Status != 0 {
		f.Text += fmt.Sprintf(" (%d %s", e.Status, e.Phrase)
		if !e.Reason.IsZero() {
			f.Text += ", " + e.Reason.String()
		}
		f.Text += ")"
	}
	return f
}

// mediaFailure tells why an answered call was none to talk in; nil if it was, or wasn't answered.
func (p *Phone) mediaFailure(r leg.Report) *Failure {
	switch {
	case r.Answered == nil:
		return nil
	case p.page != nil && r.Cipher == "":
		return &Failure{Text: "the call was answered, but no keys for SRTP were agreed, so nothing was said or heard: does UDP reach the gateway's media port?"}
	case r.Heard.Packets == 0:
		return &Failure{Text: fmt.Sprintf("the call was answered, but not one packet of media came to %s: does the other side send to an address that is ours?", r.Local)}
	}
	return nil
}
