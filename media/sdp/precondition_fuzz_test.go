package sdp

import (
	"errors"
	"strings"
	"testing"
)

// FuzzPreconditions: whatever lines an offer has, the answer says that ours are met, and asks to be told of the peer's as long as they
// aren't; what is refused is refused with SDP that can be read.
func FuzzPreconditions(f *testing.F) {
	for _, lines := range []string{
		"a=curr:qos local none\na=curr:qos remote none\na=des:qos mandatory local sendrecv\na=des:qos mandatory remote sendrecv",
		"a=curr:qos local send\na=des:qos mandatory local send\na=des:qos optional local recv", "a=des:qos mandatory e2e sendrecv", "a=des:sec mandatory e2e recv",
		"a=curr:qos local sideways\na=des:qos mandatory local\na=curr:", "a=conf:qos remote sendrecv", strings.Repeat("a=des:qos none remote recv\n", 20),
	} {
		f.Add(lines)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		offer, err := Parse([]byte("v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\nm=audio 4000 RTP/AVP 8\n" + lines + "\n"))
		if err != nil || len(offer.Media) != 1 {
			return
		}
		remote := &offer.Media[0]
		theirs, some := remote.conditions()
		if len(theirs.desired) > maxDesires {
			t.Fatalf("%d demands are kept", len(theirs.desired))
		}
		tm := terms()
		tm.Preconditions = PreconditionsAnswered
		d, _, err := session().Answer(offer, tm)
		switch {
		case errors.Is(err, ErrPrecondition):
			var r *Refusal
			if !errors.As(err, &r) {
				t.Fatalf("%T is no Refusal", err)
			}
			no, err := Parse(r.SDP)
			if err != nil {
				t.Fatalf("%v in %q", err, r.SDP)
			}
			if list := said(&no.Media[0]); len(list) == 0 || !strings.Contains(list[0], " failure ") && !strings.Contains(list[0], " unknown ") {
				t.Fatalf("refused with %q", list)
			}
			return
		case err != nil:
			return
		}
		out, err := d.Marshal()
		if err != nil {
			t.Fatalf("answer can't be written: %v", err)
		}
		if d, err = Parse(out); err != nil {
			t.Fatalf("answer can't be read: %v", err)
		}
		ours, has := d.Media[0].conditions()
		if has != some || d.Media[0].Unmet() || has && ours.current["local"] != send|recv {
			t.Fatalf("%q is answered with %q", said(remote), said(&d.Media[0]))
		}
		if has && ours.current["remote"].reversed() != theirs.current["local"] {
			t.Fatalf("%q of the peer is %q in the answer", said(remote), said(&d.Media[0]))
		}
		if asks := strings.Contains(strings.Join(said(&d.Media[0]), "|"), "conf:"); asks != remote.Unmet() {
			t.Fatalf("%q: unmet is %v, asks to be told %v", said(remote), remote.Unmet(), asks)
		}
	})
}
