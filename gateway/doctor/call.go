package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// dialed is what a test call has shown.
type dialed struct {
	headers []sip.Headers
	said    []string // responses, in order
}

// call dials a number and takes the call back as soon as it is known what the carrier makes of it.
func (x *examination) call(ctx context.Context) {
	inv, err := x.invite()
	if err != nil {
		x.add("call", Fail, "", "%v", err)
		return
	}
	x.dialed = &dialed{}
	d, err := x.UA.Dial(ctx, inv)
	if err != nil {
		x.add("call", Fail, "", "%v", err)
		return
	}
	var hangup sync.WaitGroup
	defer hangup.Wait()
	limit := time.NewTimer(x.part(callTime))
	defer limit.Stop()
	for hanging := false; ; {
		select {
		case e, open := <-d.Events():
			if !open {
				return
			}
			if x.heard(*e) && !hanging {
				hanging = true
				hangup.Go(func() { takeBack(d) })
			}
			if e.Kind == sip.KindEnded {
				x.ended(*e, hanging)
				return
			}
		case <-limit.C:
			if !hanging {
				hanging = true
				hangup.Go(func() { takeBack(d) })
				limit.Reset(x.part(answerTime))
				continue
			}
			x.add("call", Warn, "look for it at the carrier", "%s, and the end of the call isn't confirmed", x.dialed)
			return
		}
	}
}

func takeBack(d *sip.Dialog) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = d.Hangup(ctx, sip.Reason{Protocol: "Q.850", Cause: 16, Text: "test of the trunk"}, 487) // what becomes of it is told as an event
}

func (x *examination) invite() (sip.Invite, error) {
	target, err := sip.NewURI(x.exam.Call, x.Domain, 0)
	if err != nil {
		return sip.Invite{}, fmt.Errorf("number %q: %w", x.exam.Call, err)
	}
	from, err := sip.NewURI(x.Caller, x.Domain, 0)
	if err != nil {
		return sip.Invite{}, fmt.Errorf("caller %q: %w", x.Caller, err)
	}
	body, err := x.offer()
	if err != nil {
		return sip.Invite{}, err
	}
	return sip.Invite{Target: target, From: sip.NameAddr{URI: from}, Destination: x.Proxy, Route: x.Route, Body: body, Credentials: x.Creds,
		Timeout: x.part(callTime), TrialTimeout: x.part(answerTime)}, nil
}

// offer asks for no media: nobody would be there to take it.
func (x *examination) offer() ([]byte, error) {
	var list []sdp.Format
	for _, c := range x.Codecs {
		f := sdp.Format{Codec: strings.ToUpper(c), Clock: 8000, Channels: 1}
		if f.Codec == "OPUS" {
			f.Clock, f.Channels = 48000, 2
		}
		list = append(list, f)
	}
	list = append(list, sdp.Format{Codec: sdp.TelephoneEvent, Clock: 8000, Channels: 1, Fmtp: "0-15"})
	const discard = 9
	d, err := sdp.NewSession("-", x.Media).Offer(sdp.Terms{Formats: list, Direction: sdp.Inactive, Addr: x.Media, Port: discard})
	if err != nil {
		return nil, err
	}
	return d.Marshal()
}

// heard notes a response; true ends the call.
func (x *examination) heard(e sip.Event) bool {
	if e.Headers != nil && e.Kind != sip.KindEnded {
		x.dialed.headers = append(x.dialed.headers, e.Headers)
	}
	if len(e.Body) > 0 && (e.Kind == sip.KindProgress || e.Kind == sip.KindAnswered) {
		x.body = e.Body
	}
	switch e.Kind {
	case sip.KindProgress:
		x.dialed.said = append(x.dialed.said, fmt.Sprintf("%d %s", e.Status, clip(e.Phrase)))
		return e.Status >= 180 || len(e.Body) > 0
	case sip.KindAnswered:
		x.dialed.said = append(x.dialed.said, "200, answered")
		return true
	}
	return false
}

// ended judges how the test call went.
func (x *examination) ended(e sip.Event, hanging bool) {
	number := fmt.Sprintf("a call to %s from %s", x.exam.Call, x.Caller)
	switch {
	case len(x.dialed.said) > 0 && hanging:
		x.add("call", OK, "", "%s: %s; taken back", number, x.dialed)
	case e.Status == 0 && e.Err != nil:
		x.add("call", Fail, "", "%s: %v", number, e.Err)
	case e.Status == 408 && e.By != sip.ByPeer:
		x.add("call", Fail, "see options", "%s: no response within %v", number, x.part(answerTime))
	case e.Status == 401 || e.Status == 407:
		x.add("call", Fail, "password or auth_user are wrong, or there are none", "%s: refused with %d %s", number, e.Status, clip(e.Phrase))
	case e.Status == 486 || e.Status == 480 || e.Status == 404 || e.Status == 484 || e.Status == 603:
		x.add("call", OK, "", "%s: %d %s, the carrier's or the callee's own word", number, e.Status, clip(e.Phrase))
	case e.Status == 488 || e.Status == 606:
		x.add("call", Fail, "the carrier doesn't take the offer: look at codecs and srtp", "%s: %d %s", number, e.Status, clip(e.Phrase))
	default:
		x.add("call", Fail, "the carrier refuses calls: does it know this caller and number, in this form?", "%s: %d %s", number, e.Status, clip(e.Phrase))
	}
}

func (d *dialed) String() string { return strings.Join(d.said, ", then ") }
