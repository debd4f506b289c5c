package gateway

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// Without a list of its own an account calls its home country, and what is too short to lead elsewhere. A home that nobody knows has
// nothing else.
func TestTollHome(t *testing.T) {
	for _, x := range []struct {
		country, callerID string
		allow             []string
		number            string
		why               string // "" = it may
	}{
		{"DE", "", nil, "+4930123456", ""},
		{"de", "", nil, "0049301234567", ""},
		{"DE", "", nil, "0301234567", ""},
		{"DE", "", nil, "402", ""},
		{"DE", "", nil, "116117", ""},
		{"DE", "", nil, "+43123456", "+43123456 is in AT: user:a may call DE"},
		{"DE", "", nil, "004312345678", "is in AT"},
		{"DE", "", nil, "49301234567", ""}, // as many carriers want it
		{"DE", "", nil, "8816123456", "isn't understood as a number of DE"},
		{"DE", "", nil, "*21*00431234567#", "isn't understood"},
		{"DE", "", nil, "+499001234567", "is a premium rate number"},
		{"DE", "", nil, "+881612345678", "is in +881"},
		// Without a sign, with digits too many, in other people's digits: it leads to the same.
		{"DE", "", nil, "499001234567", "is a premium rate number"},
		{"DE", "", nil, "+49900123456789", "is a premium rate number"},
		{"DE", "", nil, "49900123456789", "is a premium rate number"},
		{"DE", "", []string{Anywhere}, "881612345678", "is a satellite telephone's number"},
		{"DE", "", []string{Anywhere}, "979123456789", "is an international premium rate number"},
		{"DE", "", nil, "００８８１６１２３４５６", "isn't understood"},
		{"DE", "", nil, "+49#979", "isn't understood"},
		// A 0 behind the country code: whoever takes that off, and puts 0 in front, has 00979….
		{"DE", "", nil, "+490979123456", "has a 0 behind its country code"},
		{"DE", "", nil, "+49088161234567890", "has a 0 behind its country code"},
		{"DE", "", nil, "490979123456", "isn't understood"},
		{"DE", "", []string{"+49"}, "+490979123456", "has a 0 behind its country code"},
		{"DE", "", []string{Anywhere}, "+490979123456", "has a 0 behind its country code"},
		{"US", "", nil, "+1011881612345678", "is in +1"},
		{"IT", "", nil, "+390212345678", ""}, // that 0 is the number's own
		{"DE", "", []string{"+43"}, "+43123456", ""},
		{"DE", "", []string{Anywhere}, "+43123456", ""},
		{"DE", "", []string{Anywhere}, "8816123456", ""},
		{"DE", "", []string{Anywhere}, "+499001234567", "is a premium rate number"},
		{"", "+4930555", nil, "+4930123456", ""},
		{"", "+4930555", nil, "0301234567", ""},
		{"", "+4930555", nil, "+43123456", "is in AT"},
		{"DE", "+43555", nil, "+43123456", "is in AT"},
		{"", "101", nil, "+4930123456", "has no home country (sip.country)"},
		{"", "101", nil, "0301234567", "has no home country"},
		{"", "101", nil, "401", ""},
		{"", "101", nil, "9001", ""}, // and 90 is Turkey's code
		{"DE", "", nil, "4901", ""},
		{"", "101", []string{"+49"}, "+4930123456", ""},
		// One code of several countries: which one it is counts, and what no plan knows is none.
		{"US", "", nil, "+12125551234", ""},
		{"US", "", nil, "2125551234", ""},
		{"US", "", nil, "+18765551234", "is in JM"},
		{"US", "", nil, "8765551234", "is in JM"},
		{"US", "", nil, "01143123456789", "is in AT"},
		{"US", "", nil, "+10005551234", "is in +1"},
		{"GB", "", nil, "+442079460958", ""},
		{"GB", "", nil, "+441534456789", "is in JE"},
	} {
		a := newAccount("user:a", Toll{Allow: append([]string{Home}, x.allow...), NoPremium: true})
		if err := a.resides(x.country, x.callerID); err != nil {
			t.Fatal(err)
		}
		if why := a.forbids(x.number); (why == "") != (x.why == "") || !strings.Contains(why, x.why) {
			t.Errorf("country %q, caller %q, allowed %v: %s: %q, expected %q", x.country, x.callerID, x.allow, x.number, why, x.why)
		}
	}
	a := newAccount("user:a", Toll{Allow: []string{Home}, Deny: []string{"+49900", "7"}})
	if err := a.resides("DE"); err != nil || a.may("+49900123") || a.may("711") || !a.may("+4930123") {
		t.Errorf("what is denied of home may be called: %v", err)
	}
}

// The first call to a country, which isn't home, is told in the record, the log and the count: once for each account, also after a restart.
func TestTollNewCountry(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "countries.json")
	b := newBench(t, func(s *settings) {
		s.Countries, s.Country, s.Routes[0].Prefix = file, "GB", "+49"
		s.Users[0].Toll.Allow = []string{Home, "+49"}
	})
	alice := b.phone("alice")
	alarms := func() (n int) {
		for _, rec := range b.ledger.records(t) {
			for _, e := range b.ledger.of(rec.ID) {
				if d, ok := e.Data.(call.Alarm); ok && d.Account == "user:alice" && d.Country == "DE" && strings.Contains(d.Text, "calls DE for the first time") {
					n++
				}
			}
		}
		return n
	}
	for range 2 {
		a := b.from(alice, "9123", nil) // +49123 at the carrier
		c := b.up(a, b.carrier, nil)
		a.Bye()
		c.Wait(sip.KindEnded)
		b.idle()
	}
	if n := alarms(); n != 1 || b.NewCountries() != 1 {
		t.Errorf("%d alarms in records, %d counted, expected one", n, b.NewCountries())
	}
	again := &Gateway{cfg: b.cfg, accounts: map[string]*account{}}
	if err := again.openAccounts(); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]string{"+49301": "", "+43123": "AT", "+442079460958": "", "402": "", "43123": "", "33142685300": "FR"} {
		if got := again.accounts["user:alice"].firstIn(number); got != want {
			t.Errorf("after a restart %s is new: %q, expected %q", number, got, want)
		}
	}
	if got := again.accounts["user:bob"].firstIn("+49301"); got != "DE" {
		t.Errorf("what alice has called is new to bob: %q", got)
	}
}

// What its list refuses is told to the phone, with the reason.
func TestTollIsToldToThePhone(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Country, s.Routes[0].Prefix = "GB", "+49"
		s.Users[0].Toll.Allow = []string{Home}
	})
	a := b.from(b.phone("alice"), "9123", nil)
	e := a.Wait(sip.KindEnded)
	if w := e.Headers.Get("Warning"); e.Status != 403 || !strings.Contains(w, "399 ") || !strings.Contains(w, "+49123 is in DE: user:alice may call GB and what allow lists") {
		t.Errorf("%d, Warning %q", e.Status, w)
	}
	eventually(t, "it is on record", func() bool { return len(b.ledger.records(t)) == 1 })
	trial, err := Try(t.Context(), b.cfg, TrialRequest{User: "alice", Number: "9123"})
	if err != nil || !strings.Contains(trial.Refused, "is in DE") || !strings.Contains(trial.Hops[0].Problem, "is in DE") {
		t.Errorf("tried: %+v, %v", trial, err)
	}
}
