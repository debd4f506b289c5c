package sip_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// wants writes into a request's Via, which its response repeats, what a server asks for.
func wants(m siptest.Message, oc string) siptest.Message {
	out := m
	out.Headers = append(sip.Headers(nil), m.Headers...)
	for i, h := range out.Headers {
		if h.Name == "Via" {
			out.Headers[i].Value = strings.Replace(h.Value, `;oc;oc-algo="loss"`, ";"+oc, 1)
			break
		}
	}
	return out
}

// TestServerAsksForFewerCalls: a server that is told that we listen, and asks for no calls, gets none but those for help, until it says
// otherwise. What it says later counts, not what comes later.
func TestServerAsksForFewerCalls(t *testing.T) {
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Overload.Heed = true })
	p := siptest.NewPeer(t, b.addr)
	call := func(oc string, urgent bool) {
		t.Helper()
		d := b.dial(p, func(inv *sip.Invite) { inv.Urgent = urgent })
		m := p.Request("INVITE")
		if via := m.Headers.Get("Via"); !strings.Contains(via, `;oc;oc-algo="loss"`) {
			t.Errorf("Via %s doesn't say that we listen", via)
		}
		p.Reply(wants(m, oc), 486, "x", "")
		p.Request("ACK")
		ended(t, d, sip.ByPeer, 486)
	}
	refused := func() {
		t.Helper()
		d := b.dial(p, nil)
		e := ended(t, d, sip.ByTransport, 503)
		if !errors.Is(e.Err, sip.ErrReduced) || e.Headers.Has("Retry-After") {
			t.Errorf("%v, %v", e.Err, e.Headers)
		}
	}
	call(`oc=0;oc-algo="loss";oc-validity=60000;oc-seq=1.1`, false)
	call(`oc=100;oc-algo="rate";oc-validity=60000;oc-seq=1.2`, false) // an algorithm that we haven't offered
	call(`oc=101;oc-algo="loss";oc-validity=60000;oc-seq=1.3`, false)
	call(`oc=100;oc-algo="loss";oc-validity=0;oc-seq=1.4`, false)
	call(`oc=100;oc-algo="loss";oc-validity=60000;oc-seq=2.5`, false)
	refused()
	call(`oc=0;oc-algo="loss";oc-validity=60000;oc-seq=2.4`, true) // it was overtaken
	refused()
	go func() { _, _ = b.ua.Ping(context.Background(), mustURI("sip:"+p.Addr().String()), sip.Destination{}) }()
	p.Reply(wants(p.Request("OPTIONS"), `oc=0;oc-algo="loss";oc-validity=0;oc-seq=3`), 200, "x", "")
	eventually(t, "calls go again", func() bool {
		d := b.dial(p, nil)
		m, ok := p.Receive(100 * time.Millisecond)
		if ok {
			p.Reply(m, 486, "x", "")
			p.Request("ACK")
		}
		next(t, d)
		return ok
	})
}

// TestWeAskForFewerCalls: who says that it listens is told how many calls to hold back, in each response; nobody else is.
func TestWeAskForFewerCalls(t *testing.T) {
	var percent atomic.Int64
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Overload.Reduce = func() int { return int(percent.Load()) } })
	p := siptest.NewPeer(t, b.addr)
	last := 0.0
	for i, c := range []struct {
		via     string
		percent int64
		want    string
	}{
		{`;oc;oc-algo="loss"`, 30, `;oc=30;oc-algo="loss";oc-validity=1000;oc-seq=`},
		{`;oc;oc-algo="rate,loss"`, 120, `;oc=100;oc-algo="loss";oc-validity=1000;oc-seq=`},
		{`;oc`, 0, `;oc=0;oc-algo="loss";oc-validity=0;oc-seq=`},
		{`;oc;oc-algo="rate"`, 30, ""},
		{"", 30, ""},
	} {
		percent.Store(c.percent)
		p.Write(siptest.Ask{Method: "OPTIONS", Branch: "z9hG4bKoc" + strconv.Itoa(i) + c.via})
		via := p.Response(200).Headers.Get("Via")
		_, said, ok := strings.Cut(via, c.want)
		if c.want == "" {
			if strings.Contains(via, "oc=") {
				t.Errorf("%q is answered %s", c.via, via)
			}
			continue
		}
		seq, err := strconv.ParseFloat(strings.Split(said, ";")[0], 64)
		if !ok || err != nil || seq <= last {
			t.Errorf("%q is answered %s, expected %s and a number above %v", c.via, via, c.want, last)
		}
		last = seq
	}
}
