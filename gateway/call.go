package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// Call is a live call. Its goroutine owns all state: others send commands to its mailbox.
type Call struct {
	moves

	g      *Gateway
	id     call.ID
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	src    source

	events chan LegEvent
	box    chan command
	done   chan struct{}

	rec      record
	pipeline *media.Pipeline
	caller   *sipLeg
	callee   *sipLeg   // the party that answered
	app      *AppCall  // the party that is an application; nil: both have legs
	tries    []*sipLeg // every attempt that has a leg
	attempts int       // of them, and of applications that were asked
	reoffers map[*sipLeg]*reoffering
	seized   map[string]int // places that the call has beside its source's: "trunk:ID", "user:ID"
	several  bool           // more than one callee rings at the moment
	// Of the last callees that rang in vain: what the one that decided said.
	retryAfter time.Duration
	redirect   []string          // the Contacts of a 3xx
	again      time.Duration     // the least that a carrier without room said to wait; 0 = none did
	diversions []Diversion       // how it was led away from whom it was for, so far
	path       []string          // who is being tried, by whose forwarding: a circle is found by it
	owing      map[*account]bool // accounts that count the call while it is dialled
	demands    []byte            // SDP that says which preconditions of the caller's can't be met; nil: all can
	barred     bool              // an account that pays has refused the number
	cut        bool              // the called number is too long to be one; the record has a part of it
	fares      []*fare           // what is owed for its legs since their answer
	payers     []*User           // who has forwarded it to where it goes now: the last one pays, else its source
	stopped    bool              // dialling ended for good: no further hop
	rang       bool              // the caller has had a 180: repeated ones, and those of several phones, say nothing new
	admitted   bool              // counts against the limits
	unsaid     bool              // the answer was written, but never left: the caller had gone
	warning    int               // of a 488, RFC 3261 20.43; 0 = 399
	wish       *DialRequest      // what an application asked of its call
	referrals  int               // transfers so far
	clocks     []*time.Timer
	alive      atomic.Pointer[Live]
	lease      *lease   // the charger's grant, until a party at a trunk has it; nil: none
	asked      []*lease // more of them, for other numbers, or at another's cost
	rewind     bool     // its clocks are to be set anew
}

// command is what others ask of a call. reply, if not nil, gets the outcome.
type command struct {
	kind  cmdKind
	leg   *sipLeg
	no    int
	dir   sdp.Direction
	cause call.Cause
	by    call.Party
	text  string
	err   error
	app   appOrder
	move  *move
	reply chan error
}

type cmdKind uint8

const (
	cmdHangup cmdKind = iota + 1
	cmdDigits
	cmdReoffered
	cmdReplace // by another call, as those that follow
	cmdGive
	cmdHere
	cmdReferTold
	cmdOutside
	cmdProgress // by an application, as all that follow
	cmdAccept
	cmdReject
	cmdHold
	cmdTransfer
	cmdReferred
	cmdReferLost
	cmdLink
)

// ErrNoCall is returned for a call that isn't there, or has just ended.
var ErrNoCall = errors.New("no such call")

// order puts a command into the mailbox; false when the call is over.
func (c *Call) order(cmd command) bool {
	select {
	case c.box <- cmd:
		return true
	case <-c.done:
		return false
	}
}

// Do sends a command and waits for its outcome until ctx ends.
func (c *Call) do(ctx context.Context, cmd command) error {
	cmd.reply = make(chan error, 1)
	select {
	case c.box <- cmd:
	case <-c.done:
		return ErrNoCall
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-cmd.reply:
		return err
	case <-c.done:
		select {
		case err := <-cmd.reply: // what ended the call may have been this command
			return err
		default:
			return ErrNoCall
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}
