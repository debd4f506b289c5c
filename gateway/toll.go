package gateway

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
)

// Toll bounds what an account, a user's or a tenant's, may call out through trunks: what thieves of its password could run up.
// Zero values bound nothing.
type Toll struct {
	Allow     []string      // beginnings of numbers, as they leave for trunks, Home, or Anywhere; none: all
	Deny      []string      // likewise; of several that fit the longest decides, of equals this
	NoPremium bool          // numbers whose calls are dear by their kind are refused unless Allow says more of them than the country
	Calls     int           // at a time
	Rate      float64       // that begin per second
	Duration  time.Duration // of one call
	Hour, Day time.Duration // of talk within any 60 minutes, and 24 hours
	SpendHour Price
	SpendDay  Price
	LockAfter int // so many refused numbers within an hour lock the account
}

// Tenant is an owner of users, trunks and routes, with bounds for all of its users and applications together.
type Tenant struct {
	ID   string
	Toll Toll
}

// strikeTime is how long a refused number counts.
const strikeTime = time.Hour

// account is what is known of who pays for calls.
type account struct {
	name string // user:ID or tenant:ID
	user bool
	Toll
	home string          // ISO 3166-1; "" = nobody knows
	plan *numbering.Plan // how numbers are dialled there

	mu        sync.Mutex
	seen      map[string]bool // countries that it has called
	calls     int
	rate      bucket
	strikes   []time.Time
	lockedAt  time.Time // zero: it isn't locked
	lockedFor string
	hour, day sliding // nanoseconds of talk
	costHour  sliding // Price
	costDay   sliding
}

func newAccount(name string, t Toll) *account {
	return &account{name: name, Toll: t, hour: sliding{slot: hourSlot}, costHour: sliding{slot: hourSlot}, day: sliding{slot: daySlot}, costDay: sliding{slot: daySlot}}
}

// sliding sums up what came within the last 24 slots.
type sliding struct {
	slot time.Duration
	sums [24]int64
	last int64
}

const (
	hourSlot = time.Hour / 24
	daySlot  = time.Hour
)

func (s *sliding) advance(now time.Time) {
	at, n := now.UnixNano()/int64(s.slot), int64(len(s.sums))
	if at-s.last >= n {
		s.sums, s.last = [24]int64{}, at
	}
	for s.last < at {
		s.last++
		s.sums[s.last%n] = 0
	}
}

func (s *sliding) add(now time.Time, v int64) {
	s.advance(now)
	s.sums[s.last%int64(len(s.sums))] += v
}

func (s *sliding) total(now time.Time) (sum int64) {
	s.advance(now)
	for _, v := range s.sums {
		sum += v
	}
	return sum
}

// international writes a number so that beginnings can be compared: + and 00 in front don't count.
func international(number string) string {
	if n, ok := strings.CutPrefix(number, "+"); ok {
		return n
	}
	return strings.TrimPrefix(number, "00")
}

// may tells whether the account's lists let a number be called.
func (a *account) may(number string) bool {
	allowed, denied := a.longest(a.Allow, number), a.longest(a.Deny, number)
	return denied < 0 && (allowed >= 0 || len(a.Allow) == 0) || allowed > denied
}

// longest is how much of a number the entry of a list says that says most of it, in digits; -1 if none is about it.
func (a *account) longest(list []string, number string) int {
	most := -1
	for _, entry := range list {
		most = max(most, a.fits(entry, number))
	}
	return most
}

// dear is what makes calls to a number dearer than the account may call; "" = it isn't, or is allowed by name: by a beginning that is
// longer than the code of its country, or is that of a network which is no country's.
func (t *Toll) dear(number string) string {
	if !t.NoPremium {
		return ""
	}
	kind, code := numbering.Premium(number)
	if signed := "+" + number; kind == "" && local(number) && countDigits(number) > localDigits { // many carriers are given international numbers so
		if kind, code = numbering.Premium(signed); kind != numbering.PremiumRate && !numbering.Valid(signed) {
			kind = ""
		}
	}
	if kind == "" {
		return ""
	}
	least := code
	if kind == numbering.PremiumRate {
		least++
	}
	digits := international(number)
	for _, p := range t.Allow {
		if p = international(p); len(p) >= least && strings.HasPrefix(digits, p) {
			return ""
		}
	}
	return kind
}

// chooses tells that some numbers may be called and others not.
func (t *Toll) chooses() bool {
	return t.NoPremium || len(t.Deny) > 0 || len(t.Allow) > 0 && !slices.Contains(t.Allow, Anywhere)
}

// forbids is why the account may not call a number, whenever; "" = it may.
func (a *account) forbids(number string) string {
	written := number
	number = a.reads(number)
	switch {
	case !a.may(number):
		return a.barred(number)
	case a.dear(number) != "":
		return clip(number) + " is " + a.dear(number) + " number, which " + a.name + " may not call"
	case a.chooses() && (numbering.Nested(written) || numbering.Nested(number)):
		return clip(written) + " has a 0 behind its country code, so that a carrier may read another number: " + a.name + " may not call it"
	}
	return ""
}

// refuses is why the account can't begin a call to a number now, of which a carrier is told something; locks tells that this refusal
// has locked it.
func (a *account) refuses(number string, told numbering.Told, now time.Time) (cause call.Cause, locks bool) {
	never := a.never(number, told)
	a.mu.Lock()
	defer a.mu.Unlock()
	barred := call.Cause{Q850: 21, SIP: 403}
	switch {
	case !a.lockedAt.IsZero():
		barred.Text = "calls of " + a.name + " are locked: " + a.lockedFor
	case never != "":
		barred.Text = never
		locks = a.strike(number, now)
	case a.Hour > 0 && a.hour.total(now) >= int64(a.Hour), a.Day > 0 && a.day.total(now) >= int64(a.Day):
		barred.Text = "the time that " + a.name + " may talk is used up"
	case a.SpendHour > 0 && a.costHour.total(now) >= int64(a.SpendHour), a.SpendDay > 0 && a.costDay.total(now) >= int64(a.SpendDay):
		barred.Text = "what " + a.name + " may spend is used up"
	default:
		return call.Cause{}, false
	}
	return barred, locks
}

// strike counts a refused number, and tells whether the account is locked with it. The caller holds the lock.
func (a *account) strike(number string, now time.Time) (locks bool) {
	a.strikes = append(a.strikes, now)
	for now.Sub(a.strikes[0]) > strikeTime {
		a.strikes = a.strikes[1:]
	}
	if locks = a.LockAfter > 0 && len(a.strikes) >= a.LockAfter; locks {
		a.lockedAt, a.lockedFor = now, fmt.Sprintf("%d refused numbers within an hour, the last %s", len(a.strikes), clip(number))
		a.strikes = nil
	}
	return locks
}

// enter counts a call that begins; the cause is why it may not.
func (a *account) enter(now time.Time) call.Cause {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.Calls > 0 && a.calls >= a.Calls:
		return call.Cause{Q850: 34, SIP: 503, Text: fmt.Sprintf("the limit of %d calls out of %s is reached", a.Calls, a.name)}
	case !a.rate.take(a.Rate, now):
		return call.Cause{Q850: 34, SIP: 503, Text: fmt.Sprintf("more than %g calls a second out of %s", a.Rate, a.name)}
	}
	a.calls++
	return call.Cause{}
}

func (a *account) leave() {
	a.mu.Lock()
	a.calls--
	a.mu.Unlock()
}

// uses counts what a call has taken since it was counted last, and tells whether the account has more.
func (a *account) uses(now time.Time, talk time.Duration, cost Price) (more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hour.add(now, int64(talk))
	a.day.add(now, int64(talk))
	a.costHour.add(now, int64(cost))
	a.costDay.add(now, int64(cost))
	left, bound := a.left(now, 0)
	return !bound || left > 0
}

// left is how long one call at a price may last; bound is false if as long as it likes. The caller holds the lock.
func (a *account) left(now time.Time, perMinute Price) (least time.Duration, bound bool) {
	within := func(d time.Duration) {
		if d = max(0, d); !bound || d < least {
			least, bound = d, true
		}
	}
	if a.Hour > 0 {
		within(a.Hour - time.Duration(a.hour.total(now)))
	}
	if a.Day > 0 {
		within(a.Day - time.Duration(a.day.total(now)))
	}
	for _, x := range [...]struct {
		most Price
		sum  *sliding
	}{{a.SpendHour, &a.costHour}, {a.SpendDay, &a.costDay}} {
		switch rest := x.most - Price(x.sum.total(now)); {
		case x.most == 0:
		case rest <= 0:
			within(0)
		case perMinute > 0:
			within(time.Duration(float64(rest) / float64(perMinute) * float64(time.Minute)))
		}
	}
	return least, bound
}
