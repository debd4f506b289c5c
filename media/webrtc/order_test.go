package webrtc

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// That there are keys is told before anything comes that they have opened: whoever is told of both is told in that order.
func TestKeysAreToldBeforeMedia(t *testing.T) {
	told, goOn := make(chan struct{}), make(chan struct{})
	l := newLeg(t, newPort(t, nil), func(c *Config) {
		c.Stack = Own
		c.Watch = func(e Event) {
			if e == (HandshakeChanged{DTLSConnected}) {
				close(told)
				<-goOn
			}
		}
	})
	c := newCaller(t)
	c.offers(l, "actpass")
	c.finds()
	if err := c.shakes(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is told of DTLS")
	}
	c.say(1)
	c.say(2)
	came := func() bool {
		p := l.peer()
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.stats.Early >= 2 || len(notices[media.Flowing](l)) > 0
	}
	await(t, "packets have come", came)
	if n := notices[media.Flowing](l); len(n) > 0 {
		t.Errorf("media flows while it is told that there are keys: %v", n)
	}
	close(goOn)
	await(t, "media flows", func() bool { c.say(3); return len(notices[media.Flowing](l)) > 0 })
}
