package carrier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/sip"
)

// Order asks the carrier to call an account.
type Order struct {
	Number  string        `json:"number"`  // dialled: the user part of the request-URI, such as a DID
	From    string        `json:"from"`    // the caller's number
	Account string        `json:"account"` // whose registered contact is called
	Ring    time.Duration `json:"ring"`    // how long it may ring; 0 = 60 s
	Talk    time.Duration `json:"talk"`    // the carrier hangs up after so long; 0 = Config.Longest
}

// errOrder wraps what is wrong with an order.
var errOrder = errors.New("order")

func (o *Order) check() error {
	for _, x := range []struct{ name, value string }{{"number", o.Number}, {"from", o.From}} {
		if digits := strings.TrimPrefix(x.value, "+"); digits == "" || len(digits) > 32 || strings.Trim(digits, "0123456789*#") != "" {
			return fmt.Errorf("%w: %s %q: expected up to 32 digits, with or without + before them", errOrder, x.name, x.value)
		}
	}
	if o.Ring == 0 {
		o.Ring = time.Minute
	}
	if o.Ring < 0 || o.Talk < 0 {
		return fmt.Errorf("%w: ring %s, talk %s: expected no negative time", errOrder, o.Ring, o.Talk)
	}
	return nil
}

// Call calls an account's contact and plays the greeting, then echo, until somebody hangs up: the account, the carrier
// after o.Talk, or whoever ends ctx. told hears each event on the way; it may be nil. A call that isn't answered is no error.
func (c *Carrier) Call(ctx context.Context, o Order, told func(leg.Event)) (Call, error) {
	if err := o.check(); err != nil {
		return Call{}, err
	}
	contacts := c.registrar.Contacts(o.Account)
	if len(contacts) == 0 {
		if _, ok := c.lookup(o.Account, ""); !ok {
			return Call{}, fmt.Errorf("%w: account %q: the carrier doesn't have it", errOrder, o.Account)
		}
		return Call{}, fmt.Errorf("%w: account %q: is not registered now", errOrder, o.Account)
	}
	inv, err := c.invitation(o, contacts[0])
	if err != nil {
		return Call{}, fmt.Errorf("%w: %w", errOrder, err)
	}
	k := c.begin(Call{Direction: "out", Account: o.Account, Number: o.Number, From: o.From, State: "calling"})
	if k == nil {
		return Call{}, errors.New("the carrier stops, or has too many calls")
	}
	k.told = told
	if o.Talk > 0 {
		k.longest = o.Talk
	}
	err = k.dial(ctx, inv)
	c.end(k)
	info := k.show()
	info.State = "ended"
	return info, err
}

// invitation makes the INVITE to a contact, with the number in its place.
func (c *Carrier) invitation(o Order, to sip.Contact) (sip.Invite, error) {
	host, port := c.Addr().Addr().String(), c.Addr().Port()
	number, err := sip.NewURI(o.Number, host, port)
	if err != nil {
		return sip.Invite{}, err
	}
	from, err := sip.NewURI(o.From, host, port)
	if err != nil {
		return sip.Invite{}, err
	}
	target := to.URI
	target.User = number.User
	identity := sip.NameAddr{URI: from}
	return sip.Invite{Target: target, To: sip.NameAddr{URI: number}, From: identity, Contact: o.Account, Destination: to.Destination(),
		Headers: []sip.Header{{Name: "P-Asserted-Identity", Value: identity.String()}}, Timeout: o.Ring}, nil
}

// dial calls and sees the call through.
func (k *call) dial(ctx context.Context, inv sip.Invite) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.c.ctx, cancel)()
	l, err := leg.Dial(ctx, k.config(), k.c.ua, inv)
	if err != nil {
		return err
	}
	k.limit.Stop() // the INVITE has its own
	k.ordered = ctx.Done()
	k.run(l, func() {
		for !k.over && k.leg.Report().Answered == nil {
			k.step(nil, nil)
		}
		if k.over {
			return
		}
		k.talking()
		if k.say(k.c.speech.greeting) && k.echo() {
			k.rest()
		}
	})
	return nil
}
