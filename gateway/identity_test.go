package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func header(name, value string) sip.Header { return sip.Header{Name: name, Value: value} }

// finish takes a call down from the callee, and returns its record.
func (b *bench) finish(a, c *siptest.Call) *call.Call {
	b.Helper()
	if err := c.Reject(486, ""); err != nil {
		b.Fatal(err)
	}
	refused(b, a, 486)
	return b.record()
}

// What a trunk is told of a caller: each way of writing it, asked for privacy or not, trusted or not.
func TestTrunkIsToldOfTheCaller(t *testing.T) {
	t.Parallel()
	const number = "+4930123401"
	for _, x := range []struct {
		name   string
		change func(*Trunk)
		asks   []sip.Header
		from   string
		want   []string // header fields that must be there: name: value
	}{
		{"plain", nil, nil, `"ALICE" <sip:+4930123401@carrier.test>`, nil},
		{"no names", func(x *Trunk) { x.Caller.NoNames = true }, nil, `<sip:+4930123401@carrier.test>`, nil},
		{"account", func(x *Trunk) { x.From, x.User = "account", "acc" }, nil, `"ALICE" <sip:acc@carrier.test>`,
			[]string{`P-Asserted-Identity: "ALICE" <sip:+4930123401@carrier.test>`}},
		{"fixed", func(x *Trunk) { x.From, x.FromNumber = "fixed", "+493000" }, nil, `"ALICE" <sip:+493000@carrier.test>`,
			[]string{`P-Asserted-Identity: "ALICE" <sip:+4930123401@carrier.test>`}},
		{"every header", func(x *Trunk) { x.Caller.Send = []string{"pai", "ppi", "rpid"} }, nil, `"ALICE" <sip:+4930123401@carrier.test>`,
			[]string{`P-Asserted-Identity: "ALICE" <sip:+4930123401@carrier.test>`, `P-Preferred-Identity: "ALICE" <sip:+4930123401@carrier.test>`,
				`Remote-Party-ID: "ALICE" <sip:+4930123401@carrier.test>;party=calling;screen=yes;privacy=off`}},
		{"national", func(x *Trunk) {
			x.Numbers = numbering.Config{Country: "DE", Format: numbering.National, Form: numbering.Phone}
			x.Caller.Send = []string{"pai"}
		}, nil, `"ALICE" <sip:030123401@carrier.test;user=phone>`, []string{`P-Asserted-Identity: "ALICE" <sip:030123401@carrier.test;user=phone>`}},
		{"tel", func(x *Trunk) {
			x.Numbers.Form, x.Caller.Send = numbering.Tel, []string{"pai"}
		}, nil, `"ALICE" <sip:+4930123401@carrier.test;user=phone>`, []string{`P-Asserted-Identity: "ALICE" <tel:+4930123401>`}},
		{"private, trusted", func(x *Trunk) { x.Caller.Send = []string{"pai", "rpid"} }, []sip.Header{header("Privacy", "ID")}, `"Anonymous" <sip:anonymous@anonymous.invalid>`,
			[]string{`P-Asserted-Identity: "ALICE" <sip:+4930123401@carrier.test>`, `Privacy: id`,
				`Remote-Party-ID: "ALICE" <sip:+4930123401@carrier.test>;party=calling;screen=yes;privacy=full`}},
		{"private, untrusted", func(x *Trunk) {
			x.Trusted, x.Caller.Send, x.From, x.FromNumber = false, []string{"pai", "ppi", "rpid"}, "fixed", "+493000"
		}, []sip.Header{header("Privacy", "header; critical")}, `"Anonymous" <sip:anonymous@anonymous.invalid>`, []string{`Privacy: id`}},
		{"commas, user", func(x *Trunk) { x.Trusted = false }, []sip.Header{header("Privacy", "Session,User")}, `"Anonymous" <sip:anonymous@anonymous.invalid>`, []string{`Privacy: id`}},
		{"always private", func(x *Trunk) { x.Trusted, x.Caller.Hide = false, true }, nil, `"Anonymous" <sip:anonymous@anonymous.invalid>`, []string{`Privacy: id`}},
		{"private unless none", func(x *Trunk) { x.Trusted, x.Caller.Hide = false, true }, []sip.Header{header("Privacy", "none")}, `"ALICE" <sip:+4930123401@carrier.test>`, []string{`Privacy: none`}},
		{"another own number", nil, []sip.Header{header("P-Preferred-Identity", "<sip:+49-30-123402@home.test>")}, `"ALICE" <sip:+4930123402@carrier.test>`, nil},
		{"somebody else's number", nil, []sip.Header{header("P-Preferred-Identity", "<sip:+4930999999@home.test>")}, `"ALICE" <sip:+4930123401@carrier.test>`, nil},
		{"any number", func(x *Trunk) { x.Caller.Screen = "none" }, []sip.Header{header("P-Preferred-Identity", "<sip:+4930999999@home.test>")}, `"ALICE" <sip:+4930999999@carrier.test>`, nil},
		{"any number, of From", func(x *Trunk) { x.Caller.Screen = "none" }, nil, `"ALICE" <sip:4930777@carrier.test>`, nil},
		{"a trunk's own numbers", func(x *Trunk) {
			x.Caller.Screen, x.FromNumber, x.Caller.Numbers = "all", "+493000", []string{"+49301111*"}
		}, nil, `"ALICE" <sip:+493000@carrier.test>`, nil},
		{"one of the trunk's own", func(x *Trunk) {
			x.Caller.Screen, x.FromNumber, x.Caller.Numbers = "all", "+493000", []string{"+49301234*"}
		}, nil, `"ALICE" <sip:+4930123401@carrier.test>`, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(s *settings) {
				s.Users[0].Numbers, s.Users[0].CallerID = []string{number, "+4930123402"}, number
				if x.change != nil {
					x.change(&s.Trunks[0])
				}
			})
			a := b.from(b.phone("alice"), "9123", nil, x.asks...)
			c := b.carrier.Incoming()
			r := c.Request()
			if got := r.From.WithTag("").String(); got != x.from {
				t.Errorf("From is %s, expected %s", got, x.from)
			}
			var got []string
			for _, h := range r.Headers {
				if slices.Contains([]string{"P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy"}, h.Name) {
					got = append(got, h.Name+": "+h.Value)
				}
			}
			slices.Sort(got)
			slices.Sort(x.want)
			if !slices.Equal(got, x.want) {
				t.Errorf("it has %q, expected %q", got, x.want)
			}
			if strings.Contains(x.from, "anonymous") {
				leaks(t, r, number, !strings.Contains(strings.Join(x.want, ""), number))
			}
			b.finish(a, c)
		})
	}
}

// leaks finds a private number in what a carrier gets; all: it may stand nowhere at all, else in what only it may read.
func leaks(t *testing.T, r *sip.Request, number string, all bool) {
	t.Helper()
	digits := strings.TrimPrefix(number, "+")
	for _, h := range r.Headers {
		if !all && (h.Name == "P-Asserted-Identity" || h.Name == "Remote-Party-ID") {
			continue
		}
		if strings.Contains(h.Value, digits) || strings.Contains(strings.ToUpper(h.Value), "ALICE") {
			t.Errorf("%s: %s gives the caller away", h.Name, h.Value)
		}
	}
	if strings.Contains(string(r.Body), digits) || strings.Contains(r.Headers.Get("Call-ID"), "@") {
		t.Errorf("SDP or Call-ID gives the caller away: %s, %s", r.Body, r.Headers.Get("Call-ID"))
	}
}

func TestCriticalPrivacyThatCantBeGiven(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	refused(t, b.from(b.phone("alice"), "9123", nil, header("Privacy", "cloak;critical")), 500)
	if rec := b.record(); !b.noted(rec.ID, `privacy "cloak" can't be given`) {
		t.Error("the record doesn't say why")
	}
}

// Whom a trunk's calls are from: by the header field that it is set to use, if it is trusted.
func TestTrunkNamesTheCaller(t *testing.T) {
	t.Parallel()
	pai, rpid, ppi := header("P-Asserted-Identity", `"Paula" <sip:+4930555@carrier.test>, <tel:+49-30-556>`), header("Remote-Party-ID", `"Rita" <sip:+4930666@carrier.test>;party=calling;privacy=full`), header("P-Preferred-Identity", "<sip:+4930444@carrier.test>")
	for _, x := range []struct {
		name            string
		change          func(*Trunk)
		headers         []sip.Header
		raw, number     string // of the record
		shown, diverted string // at bob's phone
	}{
		{"PAI", nil, []sip.Header{pai, rpid}, "+4930555", "+4930555", `"Paula" <sip:+4930555@home.test>`, ""},
		{"untrusted", func(x *Trunk) { x.Trusted = false }, []sip.Header{pai, rpid, header("P-Charging-Vector", "icid-value=spy")}, "4930777", "4930777", `<sip:4930777@home.test>`, ""},
		{"RPID, private", func(x *Trunk) { x.Caller.Read = []string{"rpid", "pai"} }, []sip.Header{pai, rpid}, "+4930666", "+4930666", `"Anonymous" <sip:anonymous@anonymous.invalid>`, ""},
		{"PPI", func(x *Trunk) { x.Caller.Read = []string{"ppi"} }, []sip.Header{pai, ppi}, "+4930444", "+4930444", `<sip:+4930444@home.test>`, ""},
		{"From", func(x *Trunk) { x.Caller.Read = []string{"from", "pai"} }, []sip.Header{pai}, "4930777", "4930777", `<sip:4930777@home.test>`, ""},
		{"private", nil, []sip.Header{pai, header("privacy", "ID;Critical")}, "+4930555", "+4930555", `"Anonymous" <sip:anonymous@anonymous.invalid>`, ""},
		{"rules", func(x *Trunk) {
			x.Trusted, x.Numbers.In.Caller = false, []numbering.Rule{{Match: "49*", Strip: 2, Prefix: "0"}}
			x.Numbers.Country = "DE"
		}, nil, "4930777", "+4930777", `<sip:+4930777@home.test>`, ""},
		{"national", func(x *Trunk) { x.Numbers.Country = "DE" }, []sip.Header{header("P-Asserted-Identity", "<sip:0301234567@carrier.test;user=phone>")},
			"0301234567", "+49301234567", `<sip:+49301234567@home.test>`, ""},
		{"with a context", nil, []sip.Header{header("P-Asserted-Identity", "<tel:030-1234567;phone-context=+49>")}, "0301234567", "+49301234567", `<sip:+49301234567@home.test>`, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(s *settings) {
				if x.change != nil {
					x.change(&s.Trunks[0])
				}
			})
			bob := b.phone("bob")
			a := b.from(b.carrier, "4930101", nil, x.headers...)
			c := bob.Incoming()
			if got := c.Request().From.WithTag("").String(); got != x.shown {
				t.Errorf("bob is shown %s, expected %s", got, x.shown)
			}
			if strings.Contains(x.shown, "anonymous") {
				for _, h := range c.Request().Headers {
					if strings.Contains(h.Value, strings.TrimPrefix(x.raw, "+")) {
						t.Errorf("%s: %s gives the caller away", h.Name, h.Value)
					}
				}
			}
			rec := b.finish(a, c)
			if rec.From != x.raw || rec.FromN != x.number || rec.ICID != "" {
				t.Errorf("the record has %s, %s, icid %q; expected %s, %s", rec.From, rec.FromN, rec.ICID, x.raw, x.number)
			}
		})
	}
}

// The called number is read by the trunk's rules, routed as what it is, and written by the next trunk's.
func TestCalledNumbersAreRewritten(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Numbers = numbering.Config{Country: "DE", In: numbering.Rules{Called: []numbering.Rule{{Match: "/7+(\\d+)/", Replace: "0$1"}}}}
		s.Trunks[1].Numbers = numbering.Config{Format: numbering.Zeros, Form: numbering.Phone, Out: numbering.Rules{Called: []numbering.Rule{{Match: "0049*", Prefix: "99#"}}}}
		s.Trunks[1].Caller.Send = []string{"pai"}
		s.Routes = append(s.Routes, Route{ID: "through", Tenant: "default", Source: []string{"trunk:carrier"}, Number: []string{"+49*"}, Hops: []Hop{{Trunk: "second"}}})
		s.Country = "DE"
		s.Users[1].Numbers = append(s.Users[1].Numbers, "+4930555101")
	})
	a := b.from(b.carrier, "77301234567", nil, header("P-Asserted-Identity", "<sip:030777777@carrier.test>"))
	c := b.second.Incoming()
	r := c.Request()
	if got := r.URI.String(); !strings.HasPrefix(got, "sip:99%230049301234567@second.test") || !strings.Contains(got, "user=phone") {
		t.Errorf("the request is for %s", got)
	}
	if got := r.Headers.Get("P-Asserted-Identity"); got != "<sip:004930777777@second.test;user=phone>" {
		t.Errorf("it asserts %s", got)
	}
	if rec := b.finish(a, c); rec.To != "77301234567" || rec.ToN != "+49301234567" || rec.From != "030777777" || rec.FromN != "+4930777777" || rec.Legs[1].PAI == "" {
		t.Errorf("record: %s (%s) to %s (%s)", rec.From, rec.FromN, rec.To, rec.ToN)
	}
	// A user's number is found however it is dialled, and an extension goes before a number that its digits could be.
	bob, alice := b.phone("bob"), b.phone("alice")
	for _, dialled := range []string{"101", "030555101", "004930555101", "+4930555101"} {
		a := b.from(alice, dialled, nil)
		c := bob.Incoming()
		if rec := b.finish(a, c); rec.To != dialled || rec.Route != "user-bob" {
			t.Errorf("%s: record %s (%s) by %s", dialled, rec.To, rec.ToN, rec.Route)
		}
	}
	b.idle()
}
