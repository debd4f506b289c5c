package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const trialSettings = `
node: {data: /var/empty/patchbay-trial}
sip: {country: DE, domain: home.test}
outbound: {allow: [home, +44]}
users:
  - {id: anna, password: planted-secret, numbers: [+4930123401, "401"], caller_name: Anna, forward: {busy: "user:ben"}}
  - {id: ben, password: planted-secret, numbers: ["402"]}
trunks:
  - id: telco
    mode: address
    proxy: 198.51.100.7
    addresses: 198.51.100.7
    domain: telco.test
    from: fixed
    from_number: "+49301234"
    trusted: true
    numbers:
      country: DE
      format: national
      uri: phone
      in: {called: [{match: "/0?30(\\d+)/", replace: "+4930$1"}]}
      out: {called: [{match: "00*", prefix: "9"}]}
  - {id: backup, mode: address, proxy: 198.51.100.8, addresses: 198.51.100.8, numbers: {uri: tel}}
routes:
  - {id: out, source: user, number: "+*", to: [{trunk: telco}, {trunk: backup}]}
  - {id: in, source: "trunk:telco", number: "+4930*", to: [{user: anna}]}
`

// run gives a command line and returns what it prints.
func runTrial(t *testing.T, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trial.yaml")
	if err := os.WriteFile(file, []byte(trialSettings), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := newRootCommand()
	cmd.SetOut(&out)
	cmd.SetArgs(append(args, "--config", file))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestRouteTellsEachHop(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"route", "0044 20 7946 0958", "--from", "anna"}, ""},
		{[]string{"route", "00442079460958", "--from", "anna"}, `caller    +4930123401, by user
called    00442079460958, understood as +442079460958
route     route out takes +442079460958 as +442079460958
hop 1     trunk telco, rings 1m
          INVITE sip:900442079460958@telco.test;user=phone
          From: "Anna" <sip:+49301234@telco.test;user=phone>
          To: <sip:900442079460958@telco.test;user=phone>
          Contact: user +49301234
          P-Asserted-Identity: "Anna" <sip:030123401@telco.test;user=phone>
          P-Early-Media: supported
          codecs PCMU, PCMA
hop 2     trunk backup, rings 1m
          INVITE tel:+442079460958
          From: "Anna" <sip:+4930123401@198.51.100.8;user=phone>
          To: <tel:+442079460958>
          Contact: user +4930123401
          codecs PCMU, PCMA
`},
		{[]string{"route", "0301234567", "--from", "anna", "--header", "Privacy: id"}, `caller    +4930123401, by user, private
called    0301234567, understood as +49301234567
route     route out takes +49301234567 as +49301234567
hop 1     trunk telco, rings 1m
          INVITE sip:0301234567@telco.test;user=phone
          From: "Anonymous" <sip:anonymous@anonymous.invalid>
          To: <sip:0301234567@telco.test;user=phone>
          Contact: user anonymous
          P-Asserted-Identity: "Anna" <sip:030123401@telco.test;user=phone>
          Privacy: id
          P-Early-Media: supported
          codecs PCMU, PCMA
hop 2     trunk backup, rings 1m
          INVITE tel:+49301234567
          From: "Anonymous" <sip:anonymous@anonymous.invalid>
          To: <tel:+49301234567>
          Contact: user anonymous
          Privacy: id
          codecs PCMU, PCMA
`},
		{[]string{"route", "30123401", "--trunk", "telco", "--caller", "0301234", "--header", "P-Asserted-Identity: <tel:+49-89-555123>"}, `caller    +4989555123, by pai
called    30123401, understood as +4930123401
route     30123401 is a number of user anna
hop 1     user anna, rings 1m
          From: <sip:+4989555123@home.test>
          codecs PCMU, PCMA
          forwarded busy: user:ben
`},
	} {
		out, err := runTrial(t, x.args...)
		if x.want == "" {
			if err == nil {
				t.Errorf("%v: expected an error, got\n%s", x.args, out)
			}
			continue
		}
		if err != nil || out != x.want {
			t.Errorf("%v: %v\n%s\nexpected\n%s", x.args, err, out, x.want)
		}
	}
	out, err := runTrial(t, "route", "0043123456", "--from", "anna")
	if err == nil || !strings.Contains(out, "refused   Q.850 21 call rejected, SIP 403 (+43123456 is in AT: user:anna may call DE and what allow lists)") {
		t.Errorf("to a country that isn't allowed: %v\n%s", err, out)
	}
	out, err = runTrial(t, "route", "777", "--from", "anna")
	if !errors.Is(err, errReported) || !strings.Contains(out, "refused   ") || !strings.Contains(out, "no route takes it") {
		t.Errorf("a number without a route: %v\n%s", err, out)
	}
	for want, args := range map[string][]string{
		`user "nobody": there is no such user`:                 {"route", "1", "--from", "nobody"},
		"expected one of --from, --trunk and --app":            {"route", "1"},
		`--header "Privacy": expected NAME: VALUE`:             {"route", "1", "--from", "anna", "--header", "Privacy"},
		`there is no trunk "telko", expected telco or backup;`: {"number", "telko", "in", "1"},
		`"inn": expected in or out`:                            {"number", "telco", "inn", "1"},
	} {
		if _, err := runTrial(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, expected %s", args, err, want)
		}
	}
}

func TestNumberTriesRules(t *testing.T) {
	for want, args := range map[string][]string{
		"+49301234567 (rule in.called[0])\n":                                                         {"number", "telco", "in", "301234567"},
		"900442079460958 as sip:900442079460958@telco.test;user=phone (rule out.called[0])\n":        {"number", "telco", "out", "+442079460958"},
		"0301234567 as sip:0301234567@telco.test;user=phone (no rule of out.caller fits)\n":          {"number", "telco", "out", "tel:+49-30-1234567", "--caller"},
		"401 (no rule of in.caller fits; it isn't understood as an international number)\n":          {"number", "telco", "in", "401", "--caller"},
		`{"number":"0301234567","e164":"+49301234567","rule":-1,"uri":"sip:0301234567@telco.test;us`: {"number", "telco", "out", "0301234567", "--json"},
	} {
		out, err := runTrial(t, args...)
		if compact := strings.NewReplacer("\n  ", "", "\n}", "}", `": `, `":`).Replace(out); err != nil || out != want && !strings.HasPrefix(compact, want) {
			t.Errorf("%v: %v\n%s\nexpected %s", args, err, out, want)
		}
	}
}
