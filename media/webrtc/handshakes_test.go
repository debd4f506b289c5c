package webrtc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v5/deadline"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// tap is a network that keeps what is sent first, and on which nothing comes.
type tap struct {
	*wire
	first chan []byte
}

func (t tap) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case t.first <- bytes.Clone(b):
	default:
	}
	return len(b), nil
}

// hello is a ClientHello as the caller would send it.
func (c *caller) hello() []byte {
	c.tb.Helper()
	t := tap{&wire{c: c, read: deadline.New(), done: make(chan struct{})}, make(chan []byte, 1)}
	conn := must[*dtls.Conn](c.tb)(dtls.ClientWithOptions(t, nowhere{}, dtls.WithCertificates(c.cert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM), dtls.WithLoggerFactory(pionLog{to: newPortLog()})))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = conn.HandshakeContext(ctx) }()
	defer func() { cancel(); <-ended; _ = conn.Close() }()
	return <-t.first
}

// stalls lets the caller begin a handshake and go silent.
func (c *caller) stalls(l *leg) {
	c.tb.Helper()
	c.offers(l, "actpass")
	c.finds()
	c.write(c.hello())
}

func TestOnlyAClientHelloBegins(t *testing.T) {
	good := newCaller(t).hello()
	if !begins(good) {
		t.Fatalf("%x doesn't begin", good)
	}
	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	body := len(good) - recordHeader - messageHeader
	fragment := func(n int) []byte { // the first of a longer message's
		b := change(11, byte((n+messageHeader)>>8), byte(n+messageHeader))[:recordHeader+messageHeader+n]
		b[22], b[23], b[24] = 0, byte(n>>8), byte(n)
		return b
	}
	if !begins(fragment(body - 10)) {
		t.Error("the first fragment doesn't begin")
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"17 bytes":           {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0},
		"a record that lies": change(11, 255, 255),
		"application data":   change(0, 23),
		"an epoch with keys": change(4, 1),
		"a ServerHello":      change(13, 2),
		"a later fragment":   change(19, 0, 0, 9),
		"a length that lies": change(22, 0, 255, 255),
		"a huge message":     change(14, 255),
		"no cipher suites":   append(change(11, 0, messageHeader+42, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 0, 42)[:recordHeader+messageHeader+helloFixed], 0, 0, 0, 0, 1, 0, 0, 0),
		"a short fragment":   fragment(20),
		"nothing but zeros":  append(change(0)[:recordHeader+messageHeader], make([]byte, body)...),
	} {
		if begins(b) {
			t.Errorf("%s begins a handshake", name)
		}
	}
}

// A record that is no ClientHello takes no place.
func TestJunkTakesNoHandshake(t *testing.T) {
	port := newPort(t, func(c *PortConfig) { c.Handshakes = 1 })
	l, c := newLeg(t, port, nil), newCaller(t)
	c.offers(l, "actpass")
	c.finds()
	c.write([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0})
	await(t, "the record", func() bool { return l.notes()["webrtc.dtls_dropped"] == 1 })
	if n := drops(port)["webrtc.handshakes"]; n != 0 {
		t.Errorf("%v handshakes run", n)
	}
	if err := c.shakes(); err != nil {
		t.Error(err)
	}
}

// A handshake that its peer doesn't go on with ends, and the leg is told.
func TestHandshakeEnds(t *testing.T) {
	if d := newPort(t, nil).cfg.shaking; d != 15*time.Second {
		t.Errorf("a handshake has %v, expected 15 s", d)
	}
	port := newPort(t, func(c *PortConfig) { c.shaking = 300 * time.Millisecond })
	l, c := newLeg(t, port, nil), newCaller(t)
	c.stalls(l)
	await(t, "the failure", func() bool { return len(notices[media.Failed](l)) == 1 })
	if err := notices[media.Failed](l)[0].Err; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("failed with %v", err)
	}
	await(t, "the end of handshakes", func() bool { return drops(port)["webrtc.handshakes"] == 0 })
}

// Who begins handshakes and goes silent has half of the places at most, and loses the oldest when others need one.
func TestStalledHandshakesMakeRoom(t *testing.T) {
	port := newPort(t, func(c *PortConfig) { c.Handshakes, c.young = 4, time.Millisecond })
	var stalled []*leg
	stall := func(ip string) *leg {
		l := newLeg(t, port, nil)
		newCallerAt(t, ip).stalls(l)
		stalled = append(stalled, l)
		return l
	}
	running := func(n float64) func() bool { return func() bool { return drops(port)["webrtc.handshakes"] == n } }
	for range 2 {
		stall("127.0.0.2")
	}
	await(t, "two handshakes of a source", running(2))
	stall("127.0.0.2") // takes the place of the source's first
	await(t, "the failure", func() bool { return len(notices[media.Failed](stalled[0])) == 1 })
	if err := notices[media.Failed](stalled[0])[0].Err; !errors.Is(err, errCrowded) {
		t.Errorf("failed with %v", err)
	}
	stall("127.0.0.3")
	stall("127.0.0.4")
	await(t, "all places taken", running(4))
	l, c := newLeg(t, port, nil), newCaller(t)
	c.connects(l)
	await(t, "the failure of the heaviest source's oldest", func() bool { return len(notices[media.Failed](stalled[1])) == 1 })
	if d := drops(port); d["webrtc.handshakes"] != 3 || d["webrtc.handshakes.pushed"] != 2 {
		t.Errorf("%v", d)
	}
	for _, l := range stalled[2:] {
		if len(notices[media.Failed](l)) != 0 {
			t.Error("more handshakes than necessary were pushed out")
		}
	}
}

// What the loop hands on never waits: a reader that is slow, or stands, loses packets.
func TestQueuesDrop(t *testing.T) {
	record := make([]byte, 100)
	lost := 0
	dtls, wire := newInlet(&peer{}), newInner(nil, func() { lost++ }, false)
	agent := newAgentConn(&agent{port: &Port{}}, nil)
	done := make(chan int)
	go func() {
		kept := 0
		for range max(dtlsQueue, agentQueue) + 10 {
			if dtls.put(record) {
				kept++
			}
			wire.put(record)
			agent.put(record, &udp.Addr{})
		}
		done <- kept
	}()
	select {
	case kept := <-done:
		if n := agent.agent.port.drops.queued.Load(); kept != dtlsQueue || lost < 10 || n < 10 {
			t.Errorf("%d of %d records kept, %d and %d packets lost", kept, dtlsQueue, lost, n)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a full queue stops the loop")
	}
}
