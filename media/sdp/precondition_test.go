package sdp

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// said are the lines of an answer that are about preconditions.
func said(m *Media) (list []string) {
	for _, a := range m.Attributes {
		if slices.Contains([]string{"curr", "des", "conf"}, a.Key) {
			list = append(list, a.Key+":"+a.Value)
		}
	}
	return list
}

// Our side is answered as met, the peer's as the peer says, to be confirmed while it isn't met (RFC 3312 5.1, 6; 13.1 of it is the first).
func TestPreconditions(t *testing.T) {
	for _, x := range []struct {
		name, offer, answer string
		unmet               bool
	}{
		{"not there yet", "curr:qos local none|curr:qos remote none|des:qos mandatory local sendrecv|des:qos mandatory remote sendrecv",
			"curr:qos local sendrecv|curr:qos remote none|des:qos mandatory local sendrecv|des:qos mandatory remote sendrecv|conf:qos remote sendrecv", true},
		{"there", "curr:qos local sendrecv|curr:qos remote none|des:qos mandatory local sendrecv|des:qos none remote sendrecv",
			"curr:qos local sendrecv|curr:qos remote sendrecv|des:qos none local sendrecv|des:qos mandatory remote sendrecv", false},
		{"one way is there", "curr:qos local send|curr:qos remote none|des:qos mandatory local sendrecv",
			"curr:qos local sendrecv|curr:qos remote recv|des:qos none local sendrecv|des:qos mandatory remote sendrecv|conf:qos remote sendrecv", true},
		{"one way is enough", "curr:qos local send|curr:qos remote none|des:qos mandatory local send|des:qos optional local recv",
			"curr:qos local sendrecv|curr:qos remote recv|des:qos none local sendrecv|des:qos mandatory remote recv|des:qos optional remote send", false},
		{"optional", "curr:qos local none|curr:qos remote none|des:qos optional local sendrecv|des:qos optional remote sendrecv",
			"curr:qos local sendrecv|curr:qos remote none|des:qos optional local sendrecv|des:qos optional remote sendrecv", false},
		{"end to end, if it can be", "curr:qos e2e none|des:qos optional e2e sendrecv",
			"curr:qos local sendrecv|curr:qos remote none|des:qos none local sendrecv|des:qos none remote sendrecv", false},
		{"of a kind that we don't know, if it can be", "des:sec optional e2e sendrecv|curr:qos local sendrecv",
			"curr:qos local sendrecv|curr:qos remote sendrecv|des:qos none local sendrecv|des:qos none remote sendrecv", false},
		{"none", "ptime:20", "", false},
		{"rubbish", "curr:qos local sideways|des:qos mandatory local|curr:", "", false},
	} {
		offer := read(t, append([]string{"m=audio 4000 RTP/AVP 8"}, prefixed(x.offer)...)...)
		for policy, want := range map[Preconditions]string{PreconditionsAnswered: x.answer, PreconditionsOffered: x.answer, PreconditionsIgnored: ""} {
			s, tm := session(), terms()
			tm.Preconditions = policy
			d, _, err := s.Answer(offer, tm)
			if err != nil {
				t.Errorf("%s: %v", x.name, err)
				continue
			}
			if got := strings.Join(said(&d.Media[0]), "|"); got != want {
				t.Errorf("%s, policy %d:\n%s\nexpected\n%s", x.name, policy, got, want)
			}
		}
		if got := offer.Media[0].Unmet(); got != x.unmet {
			t.Errorf("%s: unmet is %v", x.name, got)
		}
	}
}

func prefixed(list string) (out []string) {
	for _, l := range strings.Split(list, "|") {
		out = append(out, "a="+l)
	}
	return out
}

// What can't be is refused with SDP that says what (RFC 3312 8), and can be where preconditions aren't looked at.
func TestPreconditionsThatCantBeMet(t *testing.T) {
	for demand, want := range map[string]string{
		"des:qos mandatory e2e sendrecv":      "des:qos failure e2e sendrecv",
		"des:sec mandatory e2e sendrecv":      "des:sec unknown e2e sendrecv",
		"des:connectivity mandatory e2e recv": "des:connectivity unknown e2e recv",
	} {
		offer := read(t, "m=audio 4000 RTP/AVP 8", "a=curr:qos e2e none", "a="+demand)
		tm := terms()
		tm.Preconditions = PreconditionsAnswered
		_, _, err := session().Answer(offer, tm)
		var r *Refusal
		if !errors.Is(err, ErrPrecondition) || !errors.As(err, &r) {
			t.Errorf("%s: %v", demand, err)
			continue
		}
		d, err := Parse(r.SDP)
		if err != nil || len(d.Media) != 1 || strings.Join(said(&d.Media[0]), "|") != want {
			t.Errorf("%s: %v\n%s\nexpected %s", demand, err, r.SDP, want)
		}
		tm.Preconditions = PreconditionsIgnored
		if _, _, err := session().Answer(offer, tm); err != nil {
			t.Errorf("%s, ignored: %v", demand, err)
		}
	}
}

// Our first offer has ours, which are met; later ones have none.
func TestPreconditionsAreOffered(t *testing.T) {
	s, tm := session(), terms()
	tm.Preconditions = PreconditionsOffered
	d, err := s.Offer(tm)
	if err != nil {
		t.Fatal(err)
	}
	want := "curr:qos local sendrecv|curr:qos remote none|des:qos mandatory local sendrecv|des:qos optional remote sendrecv"
	if got := strings.Join(said(&d.Media[0]), "|"); got != want || d.Media[0].Unmet() {
		t.Errorf("%s\nexpected\n%s", got, want)
	}
	s.Commit(d)
	if d, err = s.Offer(tm); err != nil || len(said(&d.Media[0])) != 0 {
		t.Errorf("later: %v, %v", said(&d.Media[0]), err)
	}
}
