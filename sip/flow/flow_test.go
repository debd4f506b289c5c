package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type got struct {
	flow *Flow
	data string
	err  error
}

type sink struct {
	messages chan got
	closed   chan *Flow
	mu       sync.Mutex
	drops    map[string]int
}

func newSink() *sink {
	return &sink{messages: make(chan got, 64), closed: make(chan *Flow, 64), drops: map[string]int{}}
}

func (s *sink) Message(f *Flow, data []byte, err error) { s.messages <- got{f, string(data), err} }
func (s *sink) Closed(f *Flow)                          { s.closed <- f }
func (s *sink) Dropped(reason string) {
	s.mu.Lock()
	s.drops[reason]++
	s.mu.Unlock()
}

func (s *sink) next(t *testing.T) got {
	t.Helper()
	select {
	case g := <-s.messages:
		return g
	case <-time.After(5 * time.Second):
		t.Fatal("no message")
		return got{}
	}
}

var loop = netip.MustParseAddrPort("127.0.0.1:0")

func limits() Limits {
	return Limits{MessageBytes: 65535, Connections: 10, PerSource: 10, FirstMessage: 5 * time.Second, Partial: 5 * time.Second, Idle: 5 * time.Second}
}

func text(body string) string {
	return fmt.Sprintf("OPTIONS sip:a SIP/2.0\r\nX: y\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestUDP(t *testing.T) {
	a, b := newSink(), newSink()
	ua, err := ListenUDP(loop, a, limits())
	if err != nil {
		t.Fatal(err)
	}
	ub, err := ListenUDP(loop, b, limits())
	if err != nil {
		t.Fatal(err)
	}
	f := ua.Flow(ub.Addr())
	for _, s := range []string{"\r\n\r\n", "short", "\r\n" + text("hello"), text(strings.Repeat("x", 60000))} {
		if err := f.Send([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if g := b.next(t); g.data != text("hello") || g.flow.Remote() != ua.Addr() || g.flow.Reliable() || g.flow.Network() != "udp" {
		t.Errorf("%+v", g)
	}
	if g := b.next(t); len(g.data) < 60000 {
		t.Errorf("%d bytes", len(g.data))
	}
	b.mu.Lock()
	if b.drops[DropShort] != 1 {
		t.Errorf("drops %v", b.drops)
	}
	b.mu.Unlock()
	ua.Close()
	ua.Close()
	ub.Close()
	if f.Alive() || f.Send([]byte("x")) == nil {
		t.Error("alive after Close")
	}
}

func TestTCPAndDialer(t *testing.T) {
	a, b := newSink(), newSink()
	l, err := ListenTCP(loop, a, limits())
	if err != nil {
		t.Fatal(err)
	}
	d := NewDialer(netip.Addr{}, 1, b, limits())
	f, err := d.Dial(context.Background(), l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := d.Dial(context.Background(), l.Addr()); again != f {
		t.Error("not reused")
	}
	if _, err := d.Dial(context.Background(), netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the limit: %v", err)
	}
	f.Send([]byte(text("1") + text("22")))
	g := a.next(t)
	if g.data != text("1") || !g.flow.Accepted() {
		t.Errorf("%+v", g)
	}
	g.flow.Welcome()
	if g := a.next(t); g.data != text("22") {
		t.Errorf("%+v", g)
	}
	g.flow.Send([]byte(text("back")))
	if m := b.next(t); m.data != text("back") || m.flow != f {
		t.Errorf("%+v", m)
	}
	g.flow.Send([]byte(text("last")))
	g.flow.Finish()
	if m := b.next(t); m.data != text("last") {
		t.Errorf("%+v", m)
	}
	<-a.closed
	<-b.closed
	if f.Alive() || !errors.Is(f.Send([]byte("x")), ErrClosed) {
		t.Error("alive")
	}
	if l.Connections() != 0 {
		// Closed is told before the listener forgets it.
		for end := time.Now().Add(5 * time.Second); l.Connections() != 0 && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		if l.Connections() != 0 {
			t.Error("not forgotten")
		}
	}
	d.Close()
	d.Close()
	l.Close()
	l.Close()
	if _, err := d.Dial(context.Background(), loop); !errors.Is(err, ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
}

func TestSlowReaderLosesItsConnection(t *testing.T) {
	s := newSink()
	l, err := ListenTCP(loop, s, limits())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(text("")))
	f := s.next(t).flow
	big := []byte(text(strings.Repeat("x", 60000)))
	began := time.Now()
	var serr error
	for range 10000 {
		if serr = f.Send(big); serr != nil {
			break
		}
	}
	if !errors.Is(serr, ErrSlow) && !errors.Is(serr, ErrClosed) {
		t.Errorf("err %v", serr)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("Send blocked for %v", took)
	}
	<-s.closed
}

func TestPartialMessageTimesOut(t *testing.T) {
	s := newSink()
	lim := limits()
	lim.Partial = 500 * time.Millisecond
	l, err := ListenTCP(loop, s, lim)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(text("")))
	s.next(t).flow.Welcome()
	stop := time.After(10 * time.Second)
	for { // a byte at a time keeps it from being idle, not from being too slow
		select {
		case <-s.closed:
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.drops[DropTimeout] != 1 {
				t.Errorf("drops %v", s.drops)
			}
			return
		case <-stop:
			t.Fatal("still open")
		case <-time.After(5 * time.Millisecond):
			c.Write([]byte("x"))
		}
	}
}

func TestFramer(t *testing.T) {
	stream := "\r\n\r\n" + text("one") + "\r\n" + text("") + text("three\r\n\r\nstill") + "\r\n\r\n"
	for step := 1; step < len(stream); step += 3 {
		fr := framer{max: 1000}
		var msgs []string
		pongs := 0
		for rest := []byte(stream); len(rest) > 0; {
			n := copy(fr.space(), rest[:min(step, len(rest))])
			fr.wrote(n)
			rest = rest[n:]
			for {
				m, pong, err := fr.next()
				if err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				if pong {
					pongs++
				}
				if m == nil {
					break
				}
				msgs = append(msgs, string(m))
			}
		}
		if len(msgs) != 3 || msgs[0] != text("one") || msgs[1] != text("") || msgs[2] != text("three\r\n\r\nstill") || pongs != 2 {
			t.Fatalf("step %d: %d pongs, %q", step, pongs, msgs)
		}
	}
	for name, s := range map[string]string{
		"no length": "A b SIP/2.0\r\nX: y\r\n\r\n", "two lengths": "A\r\nl: 1\r\nContent-Length: 2\r\n\r\n", "negative": "A\r\nContent-Length: -1\r\n\r\n",
		"huge": "A\r\nContent-Length: 2000\r\n\r\n", "overflow": "A\r\nContent-Length: 99999999999999999999\r\n\r\n", "endless head": strings.Repeat("x", 1001),
	} {
		fr := framer{max: 1000}
		fr.wrote(copy(fr.space(), s))
		if _, _, err := fr.next(); !errors.Is(err, ErrFrame) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte(text("hello")+text("")), 7)
	f.Add([]byte("\r\n\r\nA\r\nl : 5\r\n\r\n12345"), 1)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if step <= 0 || step > 4096 {
			return
		}
		fr := framer{max: 2000}
		for rest := data; len(rest) > 0; {
			n := copy(fr.space(), rest[:min(step, len(rest))])
			fr.wrote(n)
			rest = rest[n:]
			for {
				m, _, err := fr.next()
				if err != nil {
					return
				}
				if m == nil {
					break
				}
				if len(m) > 2000 || !bytes.Contains(m, headEnd) {
					t.Fatalf("message %q", m)
				}
			}
			if len(fr.buf) > 2000+4096 {
				t.Fatalf("buffer of %d bytes", len(fr.buf))
			}
		}
	})
}

// Goroutines outlive their key, a burst's for a while, and none outlives Close.
func TestSerialIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSerial(1000, 3)
		idle := func() int {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.idle)
		}
		var done atomic.Int64
		for round := range 3 {
			block := make(chan struct{})
			for i := range 2 * maxIdle {
				if !s.Do(fmt.Sprint(i), func() { <-block; done.Add(1) }) {
					t.Fatalf("key %d wasn't taken", i)
				}
			}
			if n := idle(); n != 0 {
				t.Errorf("round %d: %d idle while all work", round, n)
			}
			close(block)
			if n := idle(); n != maxIdle || done.Load() != int64((round+1)*2*maxIdle) {
				t.Errorf("round %d: %d idle after %d jobs, expected %d after %d", round, n, done.Load(), maxIdle, (round+1)*2*maxIdle)
			}
		}
		time.Sleep(sweepIn + time.Second)
		if n := idle(); n != stayIdle {
			t.Errorf("%d idle after the burst, expected %d", n, stayIdle)
		}
		s.Close() // awaits them: else the bubble complains
	})
}

func TestSerial(t *testing.T) {
	s := NewSerial(2, 3)
	var mu sync.Mutex
	var order []int
	block := make(chan struct{})
	running := make(chan struct{})
	s.Do("a", func() { close(running); <-block })
	<-running
	for i := range 5 {
		ok := s.Do("a", func() { mu.Lock(); order = append(order, i); mu.Unlock() })
		if ok != (i < 3) {
			t.Errorf("%d queued: %v", i, ok)
		}
	}
	other := make(chan struct{})
	if !s.Do("b", func() { close(other); <-block }) {
		t.Error("another key")
	}
	<-other // runs while a waits
	if s.Do("c", func() {}) {
		t.Error("a third key")
	}
	close(block)
	s.Close()
	if fmt.Sprint(order) != "[0 1 2]" {
		t.Errorf("order %v", order)
	}
	if s.Do("a", func() {}) {
		t.Error("after Close")
	}
}
