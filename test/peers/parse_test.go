package peers

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/test/audio"
)

// What SIPp 3.6.1 writes, with a dead call's note and a last message cut short.
const sippLog = `----------------------------------------------- 2026-11-22 15:58:47.684467
UDP message sent (BYTES):

INVITE sip:+49301@127.0.0.1:5070 SIP/2.0
f: <sip:a@x>;tag=1
To: <sip:+49301@x>
i: one
CSeq: 1 INVITE

----------------------------------------------- 2026-11-22 15:58:47.784795
UDP message received [BYTES] bytes :

SIP/2.0 180 Ringing
From: <sip:a@x>;tag=1
To: <sip:+49301@x>;tag=2
Call-ID: one
CSeq: 1 INVITE

-----------------------------------------------
Dead call 8-1992@127.44.0.4 received a UDP message:

SIP/2.0 487 Request Terminated

----------------------------------------------- 2026-11-22 15:58:48.000001
UDP message received [BYTES] bytes :

SIP/2.0 200 OK
From: <sip:a@x>;tag=1
To: <sip:+49301@x>;tag=2
Call-ID: one
CSeq: 1 INVITE

----------------------------------------------- 2026-11-22 15:58:49.000000
UDP message received [BYTES] bytes :

BYE sip:a@127.0.0.1 SIP/2.0
From: <sip:+49301@x>;tag=2
To: <sip:a@x>;tag=1
Call-ID: one
CSeq: 1 BYE
Reason: SIP;cause=200, Q.850 ;cause=31;text="x"

----------------------------------------------- 2026-11-22 15:58:50.000000
UDP message sent (900 bytes):

SIP/2.0 200 OK
`

// fill puts the messages' true sizes in.
func fill(log string) string {
	var out strings.Builder
	blocks := strings.SplitAfter(log, "\n\n")
	for i, b := range blocks {
		if strings.Contains(b, "BYTES") && i+1 < len(blocks) {
			size := len(blocks[i+1])
			note := strings.Replace(b, "(BYTES)", "("+itoa(size)+" bytes)", 1)
			b = strings.Replace(note, "[BYTES]", "["+itoa(size)+"]", 1)
		}
		out.WriteString(b)
	}
	return out.String()
}

func itoa(n int) string { return strconv.Itoa(n) }

func TestSIPpLogIsReadIntoCalls(t *testing.T) {
	messages, err := ParseSIPpLog(strings.NewReader(fill(sippLog)))
	if err != nil || len(messages) != 4 {
		t.Fatalf("%d messages, %v, expected 4", len(messages), err)
	}
	calls := Calls(messages)
	if len(calls) != 1 {
		t.Fatalf("%d calls, expected 1", len(calls))
	}
	c := calls[0]
	if c.ID != "one" || c.Number != "+49301" || !c.Outgoing || c.Status != 200 || c.Cause != 31 || c.HungUp != Callee || c.Tags != 1 || c.Accepted != 1 {
		t.Errorf("call is %+v", c)
	}
	for what, d := range map[string][2]time.Duration{
		"ringing": {c.Progress.Sub(c.Invite), 100328 * time.Microsecond},
		"answer":  {c.Answered.Sub(c.Invite), 315534 * time.Microsecond},
		"talk":    {c.Bye.Sub(c.Answered), 999999 * time.Microsecond},
	} {
		if d[0] != d[1] {
			t.Errorf("%s after %v, expected %v", what, d[0], d[1])
		}
	}
}

func TestOutcomesOfCalls(t *testing.T) {
	msg := func(sent bool, start, cseq, totag, reason string) Message {
		m, ok := ParseMessage(start + "\r\nCall-ID: x\r\nTo: <sip:b@x;tag=no>;tag=" + totag + "\r\nCSeq: 1 " + cseq + "\r\n" + reason + "\r\n")
		if !ok {
			t.Fatalf("%s isn't read", start)
		}
		m.Sent, m.At = sent, time.Unix(1, 0)
		return m
	}
	invite := msg(false, "INVITE sip:b@x SIP/2.0", "INVITE", "", "")
	for _, c := range []struct {
		name     string
		messages []Message
		status   int
		cause    int
		hungUp   Party
		tags     int
		accepted int
	}{
		{"refused", []Message{invite, msg(true, "SIP/2.0 486 Busy Here", "INVITE", "1", "Reason: Q.850;cause=17\r\n")}, 486, 17, Nobody, 1, 0},
		{"challenged", []Message{invite, msg(true, "SIP/2.0 407 No", "INVITE", "1", ""), invite, msg(true, "SIP/2.0 404 No", "INVITE", "2", "")}, 404, 0, Nobody, 2, 0},
		{"cancelled", []Message{invite, msg(false, "CANCEL sip:b@x SIP/2.0", "CANCEL", "", "Reason: Q.850;cause=16\r\n"), msg(true, "SIP/2.0 200 OK", "CANCEL", "1", ""), msg(true, "SIP/2.0 487 No", "INVITE", "1", "")}, 487, 16, Caller, 1, 0},
		{"two answers", []Message{invite, msg(true, "SIP/2.0 200 OK", "INVITE", "1", ""), msg(true, "SIP/2.0 200 OK", "INVITE", "2", ""), msg(false, "BYE sip:b@x SIP/2.0", "BYE", "2", ""), msg(true, "BYE sip:b@x SIP/2.0", "BYE", "9", "")}, 200, 0, Caller, 2, 2},
	} {
		got := Calls(c.messages)
		if len(got) != 1 {
			t.Fatalf("%s: %d calls", c.name, len(got))
		}
		g := got[0]
		if g.Status != c.status || g.Cause != c.cause || g.HungUp != c.hungUp || g.Tags != c.tags || g.Accepted != c.accepted || g.Outgoing {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
}

func TestNetstring(t *testing.T) {
	r := bufio.NewReader(bytes.NewReader(appendNetstring(appendNetstring(nil, []byte("a,b:c")), nil)))
	for _, want := range []string{"a,b:c", ""} {
		if got, err := readNetstring(r); err != nil || string(got) != want {
			t.Errorf("%q, %v, expected %q", got, err, want)
		}
	}
	for _, bad := range []string{"5:abc,", ":x,", "3:abcd", "99999999:x,", "-1:,", "2000000:x,"} {
		if got, err := readNetstring(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

func FuzzNetstring(f *testing.F) {
	f.Add([]byte("5:hello,0:,"))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := readNetstring(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && !bytes.Contains(b, text) {
			t.Errorf("%q isn't in %q", text, b)
		}
	})
}

func FuzzSIPpLog(f *testing.F) {
	f.Add([]byte(fill(sippLog)))
	f.Fuzz(func(t *testing.T, b []byte) {
		messages, _ := ParseSIPpLog(bytes.NewReader(b))
		if len(Calls(messages)) > len(messages) {
			t.Error("more calls than messages")
		}
	})
}

func FuzzIPPacket(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2, 0, 1, 0, 2, 0, 9, 0, 0, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseUDP(b); ok {
			Streams([]Packet{p}, func(Packet) bool { return true })
			SIP([]Packet{p})
		}
	})
}

// stream is n packets of 20 ms of the tone of 440 Hz; change may move, drop or mark each.
func stream(n int, change func(i int, p *StreamPacket) bool) Stream {
	tone := audio.Tone(8000, 440, -10, float64(n)*0.02)
	var s Stream
	start := time.Unix(1000, 0)
	for i := range n {
		p := StreamPacket{At: start.Add(time.Duration(i) * 20 * time.Millisecond)}
		p.Header = prtp.Header{Version: 2, SequenceNumber: uint16(65500 + i), Timestamp: uint32(i * 160)}
		for _, v := range tone.Samples[i*160 : (i+1)*160] {
			p.Payload = append(p.Payload, audio.MuLaw.Encode(v))
		}
		if change == nil || change(i, &p) {
			s.Packets = append(s.Packets, p)
		}
	}
	return s
}

func TestStreamShowsLossAndLateness(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(i int, p *StreamPacket) bool
		lost   int
		over   bool // a gap of over 60 ms
	}{
		{"whole", nil, 0, false},
		{"three lost", func(i int, _ *StreamPacket) bool { return i < 50 || i > 52 }, 3, false},
		{"four lost", func(i int, _ *StreamPacket) bool { return i < 50 || i > 53 }, 4, true},
		{"four late by 59 ms", func(i int, p *StreamPacket) bool {
			if i >= 50 && i < 54 {
				p.At = p.At.Add(59 * time.Millisecond)
			}
			return true
		}, 0, false},
		{"four late by 90 ms", func(i int, p *StreamPacket) bool {
			if i >= 50 && i < 54 {
				p.At = p.At.Add(90 * time.Millisecond)
			}
			return true
		}, 0, true},
	} {
		s := stream(100, c.change)
		if got := s.Lost(); got != c.lost {
			t.Errorf("%s: %d lost, expected %d", c.name, got, c.lost)
		}
		if got := audio.LongestGap(s.Clip(), 440); (got > 62*time.Millisecond) != c.over {
			t.Errorf("%s: longest gap is %v: over 60 ms is %v, expected %v", c.name, got, !c.over, c.over)
		}
	}
	if got := stream(100, nil).Pause(); got != 20*time.Millisecond {
		t.Errorf("longest pause is %v, expected 20ms", got)
	}
}

// What the sender did late isn't the relay's; what the relay lost or held back is.
func TestStreamBehindItsSender(t *testing.T) {
	const paused, relayShift = 300 * time.Millisecond, 7000
	sent := stream(200, func(i int, p *StreamPacket) bool {
		if i >= 100 && i < 115 { // a pause, and the burst that makes up for it
			p.At = p.At.Add(paused - time.Duration(i-100)*20*time.Millisecond)
		}
		return true
	})
	relay := func(change func(i int, p *StreamPacket) bool) Stream {
		out := Stream{}
		for i, p := range sent.Packets {
			p.At = p.At.Add(200 * time.Microsecond)
			p.Timestamp += relayShift
			if change(i, &p) {
				out.Packets = append(out.Packets, p)
			}
		}
		return out
	}
	for _, c := range []struct {
		name   string
		change func(i int, p *StreamPacket) bool
		added  time.Duration
		gap    bool
	}{
		{"relayed at once", func(int, *StreamPacket) bool { return true }, 200 * time.Microsecond, false},
		{"four lost", func(i int, _ *StreamPacket) bool { return i < 50 || i > 53 }, 200 * time.Microsecond, true},
		{"four held back", func(i int, p *StreamPacket) bool {
			if i >= 50 && i < 54 {
				p.At = p.At.Add(90 * time.Millisecond)
			}
			return true
		}, 90*time.Millisecond + 200*time.Microsecond, true},
	} {
		s, added := relay(c.change).Behind(sent)
		if added != c.added {
			t.Errorf("%s: %v added, want %v", c.name, added, c.added)
		}
		if gap := audio.LongestGap(s.Clip(), 440); (gap > 60*time.Millisecond) != c.gap {
			t.Errorf("%s: a gap of %v, over 60 ms is %v", c.name, gap, c.gap)
		}
	}
}

func TestDigitsAreCountedOnce(t *testing.T) {
	var s Stream
	for i, event := range []byte{1, 5, 9, 11} {
		for range 3 {
			p := StreamPacket{}
			p.PayloadType, p.Timestamp, p.Payload = 101, uint32(i*1000), []byte{event, 0x80, 3, 0x20}
			s.Packets = append(s.Packets, p)
		}
	}
	if got := s.Digits(101); got != "159#" {
		t.Errorf("digits are %q, expected 159#", got)
	}
}
