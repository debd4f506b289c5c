package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// till is a charger that grants all but some numbers, and remembers what became of each grant.
type till struct {
	mu      sync.Mutex
	refuses []string // beginnings of numbers
	asked   []string // who pays, and the number; before it the direction, if it isn't out
	settled map[string][]Used
}

func (p *till) Authorize(_ context.Context, c *call.Call) (Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := c.Payer + ">" + c.ToN
	if c.Direction != call.Out {
		key = string(c.Direction) + ":" + key
	}
	p.asked = append(p.asked, key)
	for _, n := range p.refuses {
		if c.Direction == call.Out && strings.HasPrefix(c.ToN, n) {
			return Grant{}, &Refusal{call.Cause{Q850: 21, SIP: 403, Text: "no credit for " + n}}
		}
	}
	if p.settled == nil {
		p.settled = map[string][]Used{}
	}
	id := fmt.Sprintf("%d %s", len(p.asked), key)
	p.settled[id] = nil
	return Grant{ID: id}, nil
}

func (p *till) Extend(_ context.Context, g Grant) (Grant, error) { return g, nil }

func (p *till) Settle(g Grant, u Used) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled[g.ID] = append(p.settled[g.ID], u)
}

// asks takes what the charger was asked, since this was asked last.
func (p *till) asks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.asked
	p.asked = nil
	return list
}

// balance expects, once nothing is left of any call, that each grant was settled once, those of the keys given with talk and all others
// with none; it begins anew.
func (p *till) balance(b *bench, name string, talked ...string) {
	b.Helper()
	b.idle()
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for id, used := range p.settled {
		if len(used) != 1 {
			b.Errorf("%s: grant %s was settled %d times, expected once", name, id, len(used))
			continue
		}
		if used[0].Talk > 0 {
			_, key, _ := strings.Cut(id, " ")
			found = append(found, key)
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, talked) {
		b.Errorf("%s: grants with talk are of %v, expected %v", name, found, talked)
	}
	p.settled, p.asked = nil, nil
}

// talks lets two parties talk for so long that it is counted, and then hangs up.
func talks(a, b *siptest.Call) {
	time.Sleep(20 * time.Millisecond)
	a.Bye()
	b.Wait(sip.KindEnded)
}

// Wherever a call goes on to another number, or at another's cost, the charger is asked again, and nothing leaves if it says no.
func TestChargerIsAskedAgain(t *testing.T) {
	t.Parallel()
	p := &till{refuses: []string{"66"}}
	b := newBench(t, func(s *settings) {
		s.Charger = p
		s.Trunks[0].Redirects, s.Trunks[0].Transfers = true, true
		s.Users = append(s.Users, s.Users[1])
		fred := &s.Users[2]
		fred.ID, fred.Login, fred.Numbers, fred.Forward = "fred", "fred", []string{"109"}, Forwarding{Always: "777"}
		s.Routes = append(s.Routes,
			Route{ID: "free", Tenant: "default", Source: []string{"user"}, Number: []string{"6*", "7*"}, Hops: []Hop{{Trunk: "carrier", Ring: 5 * time.Second}}},
			Route{ID: "back", Tenant: "default", Source: []string{"trunk"}, Number: []string{"6*", "7*"}, Hops: []Hop{{Trunk: "second", Ring: 5 * time.Second}}})
	})
	alice, bob := b.phone("alice"), b.phone("bob")
	asked := func(name string, want ...string) {
		t.Helper()
		if got := p.asks(); !slices.Equal(got, want) {
			t.Errorf("%s: the charger was asked for %v, expected %v", name, got, want)
		}
	}
	redirect := func(to string) *siptest.Call {
		a := b.from(alice, "9123", nil)
		if err := b.carrier.Incoming().Reject(302, "", sip.Header{Name: "Contact", Value: "<sip:" + to + "@carrier.test>"}); err != nil {
			t.Fatal(err)
		}
		return a
	}

	refused(t, redirect("666"), 403)
	b.ends(call.System, 21, 403)
	asked("redirected to a number that is refused", "alice>49123", "alice>666")
	p.balance(b, "redirected to a number that is refused")
	a := redirect("777")
	talks(a, b.up(a, b.carrier, nil))
	asked("redirected", "alice>49123", "alice>777")
	p.balance(b, "redirected", "alice>777")

	a = b.from(alice, "109", nil)
	talks(a, b.up(a, b.carrier, nil))
	asked("forwarded", "internal:alice>109", "fred>777")
	p.balance(b, "forwarded", "fred>777")

	a = b.from(alice, "101", nil)
	c := b.up(a, bob, nil)
	b.refers(a, "sip:666@home.test", "")
	b.told(a, 100, 403)
	asked("transferred to a number that is refused", "internal:alice>101", "alice>666")
	b.refers(a, "sip:777@home.test", "")
	d := b.carrier.Incoming()
	d.Accept()
	b.told(a, 100, 180, 200)
	a.Wait(sip.KindEnded)
	asked("transferred by alice", "alice>777")
	talks(d, c)
	p.balance(b, "transferred by alice", "alice>777", "internal:alice>101")

	a = b.from(alice, "9123", nil)
	x := b.up(a, b.carrier, nil)
	b.refers(x, "sip:666@carrier.test", "")
	b.told(x, 100, 403)
	b.refers(x, "sip:777@carrier.test", "")
	d = b.second.Incoming()
	d.Accept()
	x.Wait(sip.KindEnded)
	asked("transferred by the carrier", "alice>49123", ">666", ">777")
	talks(a, d)
	p.balance(b, "transferred by the carrier", ">777", "alice>49123")

	a = b.from(b.carrier, "777", nil)
	talks(a, b.up(a, b.second, nil))
	asked("from one trunk to another", ">777")
	p.balance(b, "from one trunk to another", ">777")
}

// Members of a group that ring together have a grant each, those of one number the same: that of who answers goes on, the others are
// given back at once.
func TestGrantsOfAGroup(t *testing.T) {
	t.Parallel()
	for _, how := range []Strategy{Parallel, Sequential} {
		p := &till{}
		b := newBench(t, func(s *settings) {
			withGroup(how, 5*time.Second, Hop{Trunk: "carrier", Number: "4917111"}, Hop{Trunk: "second", Number: "4917222"}, Hop{User: "carol"})(s)
			s.Charger = p
			s.Groups = append(s.Groups, Group{ID: "one", Tenant: "default", Numbers: []string{"201"}, Strategy: how, Ring: 5 * time.Second,
				Members: []Hop{{Trunk: "carrier", Number: "4917333"}, {Trunk: "second", Number: "4917333"}}})
		})
		alice, carol := b.phone("alice"), b.phone("carol")
		name := fmt.Sprintf("strategy %d, ", how)
		busy := func(c *siptest.Call) {
			t.Helper()
			if how == Sequential {
				if err := c.Reject(486, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		// answers has one of the members take the call, and those before it, in sequence, be busy.
		answers := func(members []*siptest.Phone, which int, key string, number string) {
			t.Helper()
			a := b.from(alice, number, nil)
			var calls []*siptest.Call
			for i, m := range members {
				if how == Sequential && i > which {
					break
				}
				calls = append(calls, m.Incoming())
				if i < which {
					busy(calls[i])
				}
			}
			taken := calls[which]
			if err := taken.Answer([]byte(siptest.SDP)); err != nil {
				t.Fatal(err)
			}
			taken.Wait(sip.KindAcked)
			a.Wait(sip.KindAnswered)
			if key != "" { // the grants of all others are back while they talk
				eventually(t, "grants that nobody needs are given back", func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					open := 0
					for id, used := range p.settled {
						if len(used) == 0 && !strings.HasSuffix(id, key) {
							open++
						}
					}
					return open == 0
				})
			}
			talks(a, taken)
		}
		all, one := []*siptest.Phone{b.carrier, b.second, carol}, []*siptest.Phone{b.carrier, b.second}
		answers(all, 0, "alice>4917111", "200")
		p.balance(b, name+"the first answers", "alice>4917111")
		answers(all, 1, "alice>4917222", "200")
		p.balance(b, name+"the second answers", "alice>4917222")
		answers(all, 2, "", "200")
		p.balance(b, name+"a colleague answers", "alice>200")
		answers(one, 1, "alice>4917333", "201")
		if got := p.asks(); !slices.Equal(got, []string{"alice>201", "alice>4917333"}) {
			t.Errorf("%sone number by two trunks: the charger was asked for %v, expected it once", name, got)
		}
		p.balance(b, name+"one number by two trunks", "alice>4917333")
	}
}
