package numbering

import "testing"

// A number is one, however it is dialled, and what a carrier is told of it is read back as the same: also where a 0 stands behind the
// country code.
func TestOneNumberHasOneForm(t *testing.T) {
	for _, x := range []struct{ country, e164 string }{
		{"DE", "+49301234567"}, {"DE", "+490301234567"}, {"DE", "+490979123456"}, {"DE", "+49088161234567"}, {"DE", "+4303012345"}, {"DE", "+390212345678"},
		{"US", "+1011881612345"}, {"US", "+490301234567"}, {"US", "+490979123456"}, {"GB", "+4400881612345"}, {"AT", "+4301234567"},
	} {
		p := plan(t, Config{Country: x.country})
		want, ok := p.Read(x.e164)
		if !ok {
			t.Errorf("%s of %s isn't understood", x.e164, x.country)
			continue
		}
		abroad := map[string]string{"US": "011"}[x.country]
		if abroad == "" {
			abroad = "00"
		}
		for _, dialled := range []string{abroad + x.e164[1:], want, abroad + want[1:]} {
			if got, ok := p.Read(dialled); ok && got != want {
				t.Errorf("in %s %s is read as %s, and %s as %s", x.country, x.e164, want, dialled, got)
			}
		}
		for _, f := range []Format{E164, Plain, Zeros, National} {
			for _, carrier := range []string{x.country, "DE", "US"} {
				c := plan(t, Config{Country: carrier, Format: f})
				told := c.Tell(want)
				if back, ok := c.Read(told.Text); ok && back != want || !told.Same {
					t.Errorf("a carrier of %s is told %s in format %s for %s: it reads %s, same: %v", carrier, told.Text, f, want, back, told.Same)
				}
			}
		}
	}
}

// What a carrier is told is the number itself where its rules put something in front of it or write it otherwise, and another one
// where they change what it says.
func TestWhatACarrierIsTold(t *testing.T) {
	for _, x := range []struct {
		country      string
		format       Format
		rule         Rule
		number, text string
		reads        string
		same         bool
	}{
		{"DE", E164, Rule{Match: "112", Replace: "0112"}, "+49301234567", "+49301234567", "+49301234567", true},
		{"DE", National, Rule{Match: "112", Replace: "0112"}, "+49301234567", "0301234567", "+49301234567", true},
		{"", Plain, Rule{Match: "*", Prefix: "7777#"}, "+49301234567", "7777#49301234567", "7777#49301234567", true},
		{"", AsIs, Rule{Match: "+*", Strip: 1, Prefix: "770049"}, "+49301234567", "77004949301234567", "77004949301234567", true},
		{"DE", AsIs, Rule{Match: "+49*", Strip: 3, Prefix: "77770"}, "+49301234567", "77770301234567", "77770301234567", true},
		{"DE", AsIs, Rule{Match: "+49*", Strip: 3}, "+49301234567", "301234567", "301234567", true},
		{"DE", E164, Rule{Match: "+49116*", Strip: 3, Prefix: "0"}, "+49116117", "0116117", "0116117", true},
		{"", AsIs, Rule{Match: "+49*", Strip: 3}, "+49301234567", "301234567", "301234567", false}, // as Greece's
		{"", AsIs, Rule{Match: "0*", Strip: 1}, "08816123456", "8816123456", "8816123456", false},
		{"", AsIs, Rule{Match: "0*", Strip: 1, Prefix: "+"}, "08816123456", "+8816123456", "+8816123456", false},
		{"DE", E164, Rule{Match: "/\\+49(.*)/", Replace: "+43$1"}, "+49301234567", "+43301234567", "+43301234567", false},
		{"DE", E164, Rule{Match: "402", Replace: "+499001234567"}, "402", "+499001234567", "+499001234567", false},
		{"DE", E164, Rule{Match: "4*", Prefix: "0"}, "402", "0402", "0402", true},
	} {
		c := Config{Country: x.country, Format: x.format, Out: Rules{Called: []Rule{x.rule}}}
		if got, want := plan(t, c).Tell(x.number), (Told{x.text, x.reads, x.same}); got != want {
			t.Errorf("country %q, format %s, %+v: of %s it is told %+v, expected %+v", x.country, x.format, x.rule, x.number, got, want)
		}
	}
}
