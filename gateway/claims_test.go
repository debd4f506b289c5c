package gateway

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// What an INVITE says of its caller is on record as it came; of who isn't trusted only what is wished.
func TestClaims(t *testing.T) {
	h := sip.Headers{{Name: "P-Preferred-Identity", Value: "<sip:+4930444@carrier.test>"}, {Name: "Remote-Party-ID", Value: `"Rita" <sip:+4930666@carrier.test>;party=calling`},
		{Name: "Privacy", Value: "id;critical"}, {Name: "History-Info", Value: "<sip:a@carrier.test>;index=1, <sip:b@carrier.test>;index=1.1"}, {Name: "history-info", Value: "<sip:c@carrier.test>;index=1.1.1"},
		{Name: "P-Charging-Vector", Value: "icid-value=4711;orig-ioi=home.test"}, {Name: "P-Access-Network-Info", Value: "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=262010001" + strings.Repeat("ä", maxClaim)}}
	got := claims(h, true)
	if r := []rune(got.Access); len(r) != maxClaim+1 || r[maxClaim] != '…' {
		t.Errorf("a long one has %d characters", len(r))
	}
	got.Access = ""
	if want := (call.Claims{PPI: h[0].Value, RPID: h[1].Value, Privacy: h[2].Value, HistoryInfo: h[3].Value + ", " + h[4].Value, Charging: h[5].Value}); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if got, want := claims(h, false), (call.Claims{PPI: h[0].Value, Privacy: h[2].Value}); got != want {
		t.Errorf("of who isn't trusted: %+v, expected %+v", got, want)
	}
}

func TestChargingVector(t *testing.T) {
	for v, want := range map[string]call.Start{
		`icid-value="AyretyU0dm+6O2IrT5tAFrbHLso=023551024";icid-generated-at=192.0.2.9; ORIG-IOI=home1.net ;term-ioi="home2.net"`: {ICID: "AyretyU0dm+6O2IrT5tAFrbHLso=023551024",
			ICIDAt: "192.0.2.9", OrigIOI: "home1.net", TermIOI: "home2.net"},
		"icid-value=1;icid-value=2;transit-ioi=\"a.1, void\"": {ICID: "1"},
		"icid-value;;=;orig-ioi=":                             {},
		"":                                                    {},
	} {
		var got call.Start
		charging(v, &got)
		if got != want {
			t.Errorf("%s: %+v, expected %+v", v, got, want)
		}
	}
}
