package call

import "testing"

// RFC 3398 8.2.6.1: from a SIP final response to a cause.
func TestStatusToCauseRFC3398(t *testing.T) {
	for status, want := range map[int]int{
		400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127, 414: 127, 415: 79, 416: 127,
		420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 500: 41, 501: 79, 502: 38, 503: 41,
		504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1,
	} {
		if c := FromStatus(status, "x"); c.Q850 != want || c.SIP != status || c.Text != "x" {
			t.Errorf("status %d gives %v, expected cause %d", status, c, want)
		}
	}
	if c := FromStatus(200, "OK"); c != Normal {
		t.Errorf("200 gives %v", c)
	}
	if c := FromStatus(499, ""); c.Q850 != 31 {
		t.Errorf("an unknown status gives %v, expected cause 31", c)
	}
}

// RFC 3398 7.2.4.1: from a cause to a SIP status.
func TestCauseToStatusRFC3398(t *testing.T) {
	for cause, want := range map[int]int{
		1: 404, 2: 404, 3: 404, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410, 26: 404, 27: 502, 28: 484, 29: 501, 31: 480,
		34: 503, 38: 503, 41: 503, 42: 503, 47: 503, 55: 403, 57: 403, 58: 503, 65: 488, 70: 488, 79: 501, 87: 403, 88: 503, 102: 504, 111: 500, 127: 500,
	} {
		if cause == 88 {
			want = 488 // the RFC says 503; TS 29.163 and the peers that fail over on 503 want what the caller can act on
		}
		if got := (Cause{Q850: cause}).Status(); got != want {
			t.Errorf("cause %d gives status %d, expected %d", cause, got, want)
		}
	}
	if got := (Cause{Q850: 17, SIP: 600}).Status(); got != 600 {
		t.Errorf("a cause that came with 600 gives %d", got)
	}
	if got := (Cause{Q850: 99}).Status(); got != 480 {
		t.Errorf("an unknown cause gives %d, expected 480", got)
	}
}

func TestCauseClass(t *testing.T) {
	for _, c := range []Cause{{SIP: 503}, {SIP: 500, Q850: 41}, {SIP: 408}, {Q850: 34}, {Q850: 38}, NoResponse, Congested} {
		if c.Class() != Retry {
			t.Errorf("%v is final, expected another try", c)
		}
	}
	for _, c := range []Cause{{SIP: 486, Q850: 17}, {SIP: 404, Q850: 1}, {SIP: 603}, {Q850: 17}, {SIP: 488}, Cancelled, NoAnswer} {
		if c.Class() != Final {
			t.Errorf("%v asks for another try, expected final", c)
		}
	}
	if s := (Cause{17, 486, "Busy Here", ""}).String(); s != "Q.850 17 user busy, SIP 486 (Busy Here)" {
		t.Errorf("%q", s)
	}
	if (Cause{}).IsZero() != true || Normal.IsZero() {
		t.Error("IsZero")
	}
}
