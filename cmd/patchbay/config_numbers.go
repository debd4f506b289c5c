package main

import (
	"cmp"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/numbering"
)

// Numbers is how a carrier writes telephone numbers.
type Numbers struct {
	Country string   `yaml:"country"` // ISO 3166-1: whose national numbers and prefixes are understood; none if empty
	Format  string   `yaml:"format"`  // as-is, e164, plain, 00, national
	URI     string   `yaml:"uri"`     // sip, phone, tel
	Context string   `yaml:"context"` // phone-context of numbers that aren't international (RFC 3966 5.1.5)
	In      TwoSides `yaml:"in"`
	Out     TwoSides `yaml:"out"`
}

// TwoSides are rules for the called and for the calling number; of each list the first that fits is applied.
type TwoSides struct {
	Called []NumberRule `yaml:"called"`
	Caller []NumberRule `yaml:"caller"`
}

// NumberRule rewrites the numbers that it fits.
type NumberRule struct {
	Match   string `yaml:"match"`   // exact, prefix followed by *, or /regular expression/; any number if empty
	Strip   int    `yaml:"strip"`   // characters taken off the front
	Prefix  string `yaml:"prefix"`  // then put in front
	Replace string `yaml:"replace"` // or the whole number; $1 is a regular expression's first group
}

// TrunkCaller is how a trunk learns who calls, and tells it.
type TrunkCaller struct {
	Read    []string `yaml:"read"`    // pai, rpid, ppi, from: header fields that name the caller, if the carrier is trusted
	Send    []string `yaml:"send"`    // pai, ppi, rpid: those that carry the caller's number beside From
	Privacy string   `yaml:"privacy"` // asked, always
	Screen  string   `yaml:"screen"`  // users, all, none
	Numbers []string `yaml:"numbers"` // with screen all: those that may be shown
	Names   string   `yaml:"names"`   // send, none
}

// TrunkHeaders is which header fields go through a trunk.
type TrunkHeaders struct {
	In        []string `yaml:"in"`        // names, or beginnings followed by *, that are taken from the carrier
	Out       []string `yaml:"out"`       // that go to it
	Diversion []string `yaml:"diversion"` // diversion, history-info: how it is told that a call was diverted
}

func (n Numbers) numbering() numbering.Config {
	return numbering.Config{Country: n.Country, Format: numbering.Format(n.Format), Form: numbering.Form(n.URI), Context: n.Context,
		In: n.In.rules(), Out: n.Out.rules()}
}

func (t TwoSides) rules() numbering.Rules {
	var r numbering.Rules
	for _, x := range t.Called {
		r.Called = append(r.Called, numbering.Rule(x))
	}
	for _, x := range t.Caller {
		r.Caller = append(r.Caller, numbering.Rule(x))
	}
	return r
}

// completeNumbers fills in what a trunk's policy for numbers, callers and header fields leaves open.
func (t *Trunk) completeNumbers() {
	t.Numbers.Format, t.Numbers.URI = cmp.Or(t.Numbers.Format, "as-is"), cmp.Or(t.Numbers.URI, "sip")
	if len(t.Caller.Read) == 0 {
		t.Caller.Read = []string{"pai", "rpid", "from"}
	}
	if len(t.Caller.Send) == 0 && t.From != "caller" {
		t.Caller.Send = []string{"pai"}
	}
	t.Caller.Privacy, t.Caller.Screen, t.Caller.Names = cmp.Or(t.Caller.Privacy, "asked"), cmp.Or(t.Caller.Screen, "users"), cmp.Or(t.Caller.Names, "send")
	t.Transcode = cmp.Or(t.Transcode, "allow")
	t.Trusted = t.Trusted || t.Mode == "carrier" // it is ours
}

// identify puts that policy into a trunk of the gateway.
func (t Trunk) identify(gt *gateway.Trunk) {
	gt.Trusted, gt.Numbers, gt.Passing = t.Trusted, t.Numbers.numbering(), t.Transcode == "never"
	gt.Caller = gateway.Caller{Read: t.Caller.Read, Send: t.Caller.Send, Hide: t.Caller.Privacy == "always", Screen: t.Caller.Screen,
		Numbers: t.Caller.Numbers, NoNames: t.Caller.Names == "none"}
	gt.Headers = gateway.HeaderPolicy{In: t.Headers.In, Out: t.Headers.Out, Diversion: t.Headers.Diversion}
}
