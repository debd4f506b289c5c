package numbering

import (
	"errors"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/patchbay/patchbay/sip"
)

func plan(tb testing.TB, cfg Config) *Plan {
	tb.Helper()
	p, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// Behind no country's code stands a 0 that its numbers don't have, though in many they have one.
func TestNestedNumbers(t *testing.T) {
	for region := range phonenumbers.GetSupportedRegions() {
		for kind := range phonenumbers.UNKNOWN {
			n := phonenumbers.GetExampleNumberForType(region, kind)
			if n == nil {
				continue
			}
			e164 := phonenumbers.Format(n, phonenumbers.E164)
			if Nested(e164) || Nested("00"+e164[1:]) {
				t.Errorf("%s: %s, kind %d, is taken for one with a 0 in between", region, e164, kind)
			}
		}
	}
	for number, want := range map[string]bool{
		"+49030555": true, "+490979123456": true, "0049088112345": true, "+4400881612345": true, "+1011881612345": true, "+4900": true,
		"490979123456": false, "+49": false, "+490#": false, "+390123456789": false, "+0": false, "+": false, "": false, "112": false,
	} {
		if got := Nested(number); got != want {
			t.Errorf("%q: %v", number, got)
		}
	}
}

// What is dialled in countries of all kinds of plans: with a national prefix, without one, with an optional one.
func TestNumbersOfCountriesAreUnderstood(t *testing.T) {
	for _, x := range []struct{ country, dialled, e164 string }{
		{"DE", "030 1234567", "+49301234567"},
		{"DE", "+49 (0)30 1234567", "+49301234567"},
		{"DE", "0044 20 7946 0958", "+442079460958"},
		{"DE", "0151 23456789", "+4915123456789"},
		{"DE", "301234567", ""}, // a local number, or an extension
		{"DE", "401", ""},
		{"DE", "110", ""},
		{"DE", "112", ""},
		{"DE", "*21#", ""},
		{"DE", "anna.phone", ""},
		{"DE", "", ""},
		{"AT", "01 5122000", "+4315122000"},
		{"CH", "044 668 18 00", "+41446681800"},
		{"FR", "01 42 68 53 00", "+33142685300"},
		{"FR", "142685300", ""},
		{"GB", "020 7946 0958", "+442079460958"},
		{"GB", "00 353 1 234 5678", "+35312345678"},
		{"IT", "06 698 12345", "+390669812345"}, // the zero belongs to it
		{"ES", "912 345 678", "+34912345678"},   // no prefix at all
		{"PL", "22 826 58 45", "+48228265845"},
		{"DK", "32 12 34 56", "+4532123456"},
		{"NL", "020 123 4567", "+31201234567"},
		{"SE", "08-123 456 78", "+46812345678"},
		{"US", "650-253-0000", "+16502530000"},
		{"US", "1 (650) 253-0000", "+16502530000"},
		{"US", "011 49 30 1234567", "+49301234567"},
		{"US", "911", ""},
		{"CA", "604 555 0123", "+16045550123"},
		{"AU", "02 9374 4000", "+61293744000"},
		{"AU", "0011 1 650 253 0000", "+16502530000"},
		{"JP", "03-1234-5678", "+81312345678"},
		{"JP", "010 1 650 253 0000", "+16502530000"},
		{"CN", "13812345678", "+8613812345678"},
		{"IN", "98765 43210", "+919876543210"},
		{"IN", "09876543210", "+919876543210"},
		{"BR", "(11) 2345-6789", "+551123456789"},
		{"RU", "8 (495) 123-45-67", "+74951234567"},
		{"ZA", "021 123 4567", "+27211234567"},
		{"", "+442079460958", "+442079460958"},
		{"", "020 7946 0958", ""},
		{"", "+883510012345", "+883510012345"}, // a network that is no country's
		{"", "+1", ""},
		{"", "+0301234567", ""},
		{"", "+1234567890123456789", ""},
	} {
		e164, ok := plan(t, Config{Country: x.country}).Read(x.dialled)
		if ok != (x.e164 != "") || e164 != x.e164 && ok {
			t.Errorf("%s: %q is read as %q (%v), expected %q", x.country, x.dialled, e164, ok, x.e164)
		}
	}
}

func TestNumbersAreWritten(t *testing.T) {
	for _, x := range []struct {
		country, format, number, want string
	}{
		{"DE", "as-is", "030 1234567", "030 1234567"},
		{"DE", "e164", "0301234567", "+49301234567"},
		{"DE", "e164", "110", "110"},
		{"DE", "plain", "+49301234567", "49301234567"},
		{"", "plain", "+49301234567", "49301234567"},
		{"", "00", "+49301234567", "0049301234567"},
		{"DE", "00", "0301234567", "0049301234567"},
		{"DE", "national", "+49301234567", "0301234567"},
		{"DE", "national", "+442079460958", "00442079460958"},
		{"US", "national", "+16502530000", "6502530000"},
		{"US", "national", "+49301234567", "01149301234567"},
		{"US", "national", "+16045550123", "6045550123"},
		{"AU", "national", "+16502530000", "001116502530000"},
		{"IT", "national", "+390669812345", "0669812345"},
		{"DE", "e164", "anonymous", "anonymous"},
		{"DE", "national", "401", "401"},
	} {
		if got := plan(t, Config{Country: x.country, Format: Format(x.format)}).Out(Called, x.number).Number; got != x.want {
			t.Errorf("%s, %s: %s leaves as %q, expected %q", x.country, x.format, x.number, got, x.want)
		}
	}
	for _, x := range []struct{ format, country, raw, want string }{
		{"plain", "", "49301234567", "+49301234567"},
		{"plain", "DE", "49301234567", "+49301234567"},
		{"plain", "DE", "0301234567", "+49301234567"},
		{"plain", "", "110", "110"},
		{"00", "", "0049301234567", "+49301234567"},
		{"00", "", "0301234567", "0301234567"},
		{"national", "DE", "0301234567", "+49301234567"},
		{"as-is", "", "49301234567", "49301234567"},
	} {
		if got := plan(t, Config{Country: x.country, Format: Format(x.format)}).In(Called, x.raw).Number; got != x.want {
			t.Errorf("%s, %s: %s comes in as %q, expected %q", x.country, x.format, x.raw, got, x.want)
		}
	}
}

// A number that is written for a country is read back as the same, whatever the format.
func TestWrittenNumbersAreReadBack(t *testing.T) {
	for _, n := range []string{"+49301234567", "+442079460958", "+33142685300", "+16502530000", "+390669812345", "+34912345678", "+61293744000", "+81312345678", "+74951234567", "+5511961234567", "+8613812345678"} {
		for _, country := range []string{"DE", "US", "GB", "IT", "ES", "AU", "JP", "RU", "CN", "BR"} {
			for _, f := range []Format{E164, Plain, National} {
				p := plan(t, Config{Country: country, Format: f})
				out := p.Out(Called, n).Number
				if back := p.In(Called, out).Number; back != n {
					t.Errorf("%s in %s, %s: written %s, read back %s", n, country, f, out, back)
				}
			}
		}
	}
}

func TestRulesRewriteNumbers(t *testing.T) {
	p := plan(t, Config{Country: "DE", Format: Zeros,
		In:  Rules{Called: []Rule{{Match: "/0?30(\\d{5,})/", Replace: "+4930$1"}, {Match: "99*", Strip: 2}}, Caller: []Rule{{Match: "000*", Strip: 1}}},
		Out: Rules{Called: []Rule{{Match: "0049*", Prefix: "7777#"}, {Match: "112", Replace: "0112"}}, Caller: []Rule{{Match: "", Prefix: "9"}}}})
	for _, x := range []struct {
		out  bool
		side Side
		n    string
		want Result
	}{
		{false, Called, "301234567", Result{"+49301234567", 0}},
		{false, Called, "990301234567", Result{"+49301234567", 1}},
		{false, Called, "401", Result{"401", -1}},
		{false, Caller, "000442079460958", Result{"+442079460958", 0}},
		{true, Called, "+49301234567", Result{"7777#0049301234567", 0}},
		{true, Called, "112", Result{"0112", 1}},
		{true, Called, "+442079460958", Result{"00442079460958", -1}},
		{true, Caller, "+49301234567", Result{"90049301234567", 0}},
		{true, Caller, strings.Repeat("1", 65), Result{strings.Repeat("1", 65), -1}},
	} {
		do := p.In
		if x.out {
			do = p.Out
		}
		if got := do(x.side, x.n); got != x.want {
			t.Errorf("out %v, side %d: %s becomes %+v, expected %+v", x.out, x.side, x.n, got, x.want)
		}
	}
}

func TestBadRulesSayWhatWasExpected(t *testing.T) {
	for _, x := range []struct {
		r           Rule
		field, says string
	}{
		{Rule{Match: "/(/", Strip: 1}, "match", `"/(/": expected a regular expression: error parsing regexp: missing closing )`},
		{Rule{Match: "/12", Strip: 1}, "match", `"/12": expected a regular expression between two slashes`},
		{Rule{Match: "1 2", Strip: 1}, "match", `"1 2": expected a number, a prefix such as 0*`},
		{Rule{Match: strings.Repeat("1", 257), Strip: 1}, "match", "has 257 characters: expected at most 256"},
		{Rule{Match: "0*"}, "strip", "is missing: expected strip, prefix or replace"},
		{Rule{Match: "0*", Strip: 33}, "strip", "33: expected 0 to 32"},
		{Rule{Match: "0*", Prefix: "a b"}, "prefix", `"a b": expected digits`},
		{Rule{Match: "0*", Prefix: "1\r\nX: y"}, "prefix", "expected digits"},
		{Rule{Match: "0*", Replace: "1", Strip: 1}, "replace", "expected either replace, or strip and prefix"},
		{Rule{Match: "0*", Replace: "$1"}, "replace", `"$1": has $1, but match "0*" isn't a regular expression`},
		{Rule{Match: "/0(.*)/", Replace: "+49$2"}, "replace", `"+49$2": has $2, but match /0(.*)/ has 1 groups`},
		{Rule{Match: "/0(.*)/", Replace: "$x"}, "replace", `has $x, but match`},
		{Rule{Match: "/0(.*)/", Replace: "<$1>"}, "replace", `expected a number, with $1 for the first group`},
	} {
		err := x.r.Check()
		var re *RuleError
		if !errors.As(err, &re) || re.Field != x.field || !strings.Contains(re.Problem, x.says) {
			t.Errorf("%+v: %v, expected %s %s", x.r, err, x.field, x.says)
		}
	}
	for _, x := range []struct {
		c    Config
		says string
	}{
		{Config{Country: "XX"}, `country "XX": expected two letters of ISO 3166-1`},
		{Config{Format: National}, "format national needs a country"},
		{Config{Format: "int"}, `format "int": expected one of as-is, e164, plain, 00, national`},
		{Config{Form: "fax"}, `uri "fax": expected one of sip, phone, tel`},
		{Config{Context: "49"}, ""},
		{Config{Context: "+4x"}, `context "+4x": expected + and up to 15 digits`},
		{Config{Context: "a b"}, `context "a b": expected + and digits, or a domain`},
		{Config{Out: Rules{Caller: []Rule{{Match: "1", Strip: 1}, {}}}}, "out.caller[1]: strip is missing"},
	} {
		if _, err := New(x.c); x.says == "" && err != nil || x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says)) {
			t.Errorf("%+v: %v, expected %q", x.c, err, x.says)
		}
	}
}

// The examples of RFC 3966 and of RFC 3261 19.1.6, and what trunks send.
func TestURIsAreReadAsNumbers(t *testing.T) {
	p := plan(t, Config{})
	for _, x := range []struct{ uri, number, context, read string }{
		{"tel:+1-201-555-0123", "+12015550123", "", "+12015550123"},
		{"tel:7042;phone-context=example.com", "7042", "example.com", "7042"},
		{"tel:863-1234;phone-context=+1-914-555", "8631234", "+1914555", "8631234"},
		{"tel:030-1234567;phone-context=+49", "0301234567", "+49", "+49301234567"},
		{"tel:1234567;phone-context=+4930", "1234567", "+4930", "+49301234567"},
		{"tel:+1-201-555-0123;ext=22", "+12015550123", "", "+12015550123"},
		{"tel:+358-555-1234567;postd=pp22", "+3585551234567", "", "+3585551234567"},
		{"tel:*31%23;phone-context=+49", "*31#", "+49", "*31#"},
		{"sip:+1-212-555-1212:1234@gateway.com;user=phone", "+12125551212", "", "+12125551212"},
		{"sip:0301234567;phone-context=+49@carrier.test;user=phone", "0301234567", "+49", "+49301234567"},
		{"sip:+49301234567@carrier.test", "+49301234567", "", "+49301234567"},
		{"sip:030-123@carrier.test", "030-123", "", "030-123"},
		{"sip:anna.phone@carrier.test", "anna.phone", "", "anna.phone"},
		{"sip:1000%23@carrier.test", "1000#", "", "1000#"},
		{"sip:carrier.test", "carrier.test", "", "carrier.test"},
	} {
		u, err := sip.ParseURI(x.uri)
		if err != nil {
			t.Fatal(err)
		}
		n, c := Of(u)
		raw, r := p.InURI(Called, u)
		if n != x.number || c != x.context || raw != n || r.Number != x.read {
			t.Errorf("%s is %q in context %q, read as %q; expected %q, %q, %q", x.uri, n, c, r.Number, x.number, x.context, x.read)
		}
	}
}

func TestNumbersAreWrittenAsURIs(t *testing.T) {
	for _, x := range []struct {
		form             Form
		context, n, want string
	}{
		{SIP, "", "+49301234567", "sip:+49301234567@carrier.test"},
		{SIP, "+49", "110", "sip:110@carrier.test"},
		{SIP, "", "1000#", "sip:1000%23@carrier.test"},
		{Phone, "", "+49301234567", "sip:+49301234567@carrier.test;user=phone"},
		{Phone, "+49", "+49301234567", "sip:+49301234567@carrier.test;user=phone"},
		{Phone, "+49", "110", "sip:110;phone-context=+49@carrier.test;user=phone"},
		{Phone, "", "anna", "sip:anna@carrier.test"},
		{Tel, "", "+49301234567", "tel:+49301234567"},
		{Tel, "", "110", "tel:110;phone-context=carrier.test"},
		{Tel, "+49", "*31#", "tel:*31%23;phone-context=+49"},
		{Tel, "", "anonymous", "sip:anonymous@carrier.test"},
	} {
		u, err := plan(t, Config{Form: x.form, Context: x.context}).URI(x.n, "carrier.test")
		if err != nil || u.String() != x.want {
			t.Errorf("%s, %s: %v (%v), expected %s", x.form, x.n, u, err, x.want)
		}
	}
	p := plan(t, Config{Form: Tel})
	if u, err := p.URI("110", "192.0.2.1"); err == nil || !strings.Contains(err.Error(), "phone-context") {
		t.Errorf("a local number without a context: %v, %v", u, err)
	}
	if u, err := p.URI("1\r\nX: y", "carrier.test"); err == nil {
		t.Errorf("a line end went into %q", u)
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"+49301234567", "0049 30", "*21#", "tel:+1-201-555-0123;ext=22", "sip:030;phone-context=+49@h;user=phone", "anonymous", "+", "٠١٢"} {
		f.Add(s)
	}
	p := plan(f, Config{Country: "DE", Format: National, Form: Tel, In: Rules{Called: []Rule{{Match: "/0(.*)/", Replace: "+49$1"}}}})
	f.Fuzz(func(t *testing.T, s string) {
		if e, ok := p.Read(s); ok && (e[0] != '+' || strings.Trim(e[1:], "0123456789") != "" || len(e) > 17) {
			t.Errorf("%q is read as %q, which isn't E.164", s, e)
		} else if again, ok2 := p.Read(e); ok && (!ok2 || again != e) {
			t.Errorf("%q is read as %q, and that as %q (%v)", s, e, again, ok2)
		}
		n := p.In(Called, s).Number
		if u, err := p.URI(p.Out(Called, n).Number, "carrier.test"); err == nil {
			if _, err := sip.ParseURI(u.String()); err != nil {
				t.Errorf("%q leaves as %q, which can't be read: %v", s, u, err)
			}
		}
		if u, err := sip.ParseURI(s); err == nil {
			p.InURI(Caller, u)
		}
	})
}
