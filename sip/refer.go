package sip

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// Info sends INFO (RFC 6086) within the confirmed dialog. A refusal is a *StatusError.
func (d *Dialog) Info(ctx context.Context, contentType string, body []byte) error {
	if err := wire.Safe("content type", contentType); err != nil {
		return err
	}
	_, err := d.do(ctx, "INFO", nil, contentType, body)
	return err
}

// Refer asks the peer to call target (RFC 3515). replaces is the value of a Replaces header field, such as
// "call-id;to-tag=a;from-tag=b", or "". A nil error means accepted; how it goes is told as Notify events.
func (d *Dialog) Refer(ctx context.Context, target URI, replaces string, h ...Header) error {
	if err := target.Check(); err != nil {
		return err
	}
	if err := wire.Safe("Replaces", replaces); err != nil {
		return err
	}
	if err := checkHeaders(h); err != nil {
		return err
	}
	if replaces != "" {
		target.Headers = "Replaces=" + strings.ReplaceAll(url.QueryEscape(replaces), "+", "%20")
	}
	d.mu.Lock()
	d.refers++ // a NOTIFY may overtake the 202
	self := strings.TrimSuffix(strings.TrimPrefix(d.contact, "<"), ">")
	d.mu.Unlock()
	headers := []Header{{Name: "Refer-To", Value: "<" + target.String() + ">"}}
	if !Headers(h).Has("Referred-By") {
		headers = append(headers, Header{Name: "Referred-By", Value: "<" + self + ">"})
	}
	_, err := d.do(ctx, "REFER", append(headers, h...), "", nil)
	if err != nil {
		d.mu.Lock()
		d.refers--
		d.mu.Unlock()
	}
	return err
}

// ReferRequest is the peer's wish that we call Target in its place (a transfer).
type ReferRequest struct {
	Target     URI    // without the Replaces it carried
	Replaces   string // value of a Replaces header field, unescaped; "" = none
	ReferredBy string
	Headers    Headers
	Quiet      bool // the peer wants to be told nothing: Refer-Sub is false (RFC 4488), or nosub is required (RFC 7614)

	d     *Dialog
	t     *serverTx
	id    string // Event id: the CSeq of the REFER
	until time.Time
	once  sync.Once
}

// referLife is how long a peer is told how the call goes that it asked for. RFC 3515 2.4.4 leaves it to us.
const referLife = 3 * time.Minute

// onRefer takes REFER; d.mu is held.
func (d *Dialog) onRefer(t *serverTx, l *leg) {
	to := t.m.Headers.Lines("Refer-To")
	if len(to) != 1 {
		t.refuse(&wire.Refusal{Status: 400, Header: "Refer-To", Why: fmt.Sprintf("stands %d times: expected once", len(to))})
		return
	}
	n, err := ParseNameAddr(to[0])
	if err != nil {
		t.refuse(&wire.Refusal{Status: 400, Header: "Refer-To", Why: err.Error()})
		return
	}
	r := &ReferRequest{Target: n.URI, Headers: t.m.Headers, ReferredBy: t.m.Headers.Get("Referred-By"), d: d, t: t, id: fmt.Sprint(t.m.CSeq)}
	for field := range strings.SplitSeq(n.URI.Headers, "&") {
		if name, v, ok := strings.Cut(field, "="); ok && strings.EqualFold(name, "Replaces") {
			r.Replaces = wire.Unescape(v)
		}
	}
	r.Target.Headers = ""
	if err := wire.Safe("Replaces", r.Replaces); err != nil {
		t.refuse(&wire.Refusal{Status: 400, Header: "Refer-To", Why: err.Error()})
		return
	}
	if method, ok := r.Target.Param("method"); ok && !strings.EqualFold(method, "INVITE") {
		t.refuse(&wire.Refusal{Status: 501, Header: "Refer-To", Why: "method=" + method + ": expected none, or INVITE"})
		return
	}
	r.Target = r.Target.Without("method")
	r.Quiet = strings.EqualFold(wire.MediaType(t.m.Headers.Get("Refer-Sub")), "false") || asks(t.m.Headers, "Require", "nosub")
	e := d.event(KindRefer, t.m, t.at)
	e.Refer = r
	if d.phase != confirmed || !d.emit(e) {
		t.respond(500, "", []Header{{Name: "Retry-After", Value: "5"}}, nil)
		return
	}
	d.after(20*d.ua.timers.T1, func() { r.Reject(500, "") }) // a non-INVITE must be answered soon
}

// Accept answers 202; Notify must follow, unless the peer is Quiet.
func (r *ReferRequest) Accept() error {
	err := error(ErrState)
	r.once.Do(func() {
		h := []Header{{Name: "Contact", Value: r.d.contact}}
		if r.Quiet {
			h = append(h, Header{Name: "Refer-Sub", Value: "false"})
		}
		r.until = time.Now().Add(referLife)
		err = r.t.respond(202, "", h, nil)
	})
	return err
}

// Reject refuses.
func (r *ReferRequest) Reject(status int, reason string) error {
	if status < 300 || status > 699 {
		return fmt.Errorf("sip: Reject status %d: expected 300 to 699", status)
	}
	if err := checkPhrase(reason); err != nil {
		return err
	}
	err := error(ErrState)
	r.once.Do(func() { err = r.t.respond(status, reason, nil, nil) })
	return err
}

// Notify tells the peer how the call to Target goes: its last status. final ends the subscription. Who is Quiet is told
// nothing.
func (r *ReferRequest) Notify(ctx context.Context, status int, reason string, final bool) error {
	if status < 100 || status > 699 {
		return fmt.Errorf("sip: Notify status %d: expected 100 to 699", status)
	}
	if reason == "" {
		reason = wire.Phrase(status)
	}
	if err := checkPhrase(reason); err != nil {
		return err
	}
	if r.Quiet {
		return nil
	}
	state := fmt.Sprintf("active;expires=%d", max(1, int(time.Until(r.until)/time.Second)))
	if final {
		state = "terminated;reason=noresource"
	}
	headers := []Header{{Name: "Event", Value: "refer;id=" + r.id}, {Name: "Subscription-State", Value: state}}
	body := fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", status, reason)
	_, err := r.d.do(ctx, "NOTIFY", headers, "message/sipfrag;version=2.0", body)
	return err
}
