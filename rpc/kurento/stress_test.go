package kurento_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// Clients connect, disconnect, take pads away and release at once, while media flows: what each side says of a connection
// agrees in the end, and each connection that was told of was told to have ended or is there.
func TestConnectAtOnce(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	r := newRig(t, kurento.Config{FlowPoll: 5 * time.Millisecond}, voices("Mu", media.Pad{}, u, u), voices("A", media.Pad{}, a, a))
	var elements []*rpc.Object
	for i := range 9 {
		elements = append(elements, r.in([]string{"Mu", "A", "PassThrough"}[i%3]))
	}
	e := &ear{more: make(chan struct{}, 1)}
	for _, o := range elements {
		r.join(e, o, "ElementConnected", "ElementDisconnected")
	}
	stop := speak(voiceOf(elements[0]))
	var wait sync.WaitGroup
	for seed := range uint64(4) {
		wait.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 7))
			for range 300 {
				from, to := elements[rnd.IntN(9)], elements[rnd.IntN(9)]
				op, params := "connect", `{"sink":"`+to.ID()+`"`
				if rnd.IntN(3) == 0 {
					op = "disconnect"
				}
				if rnd.IntN(2) == 0 {
					params += `,"mediaType":"AUDIO"`
				}
				_, err := r.a.Invoke(context.Background(), from.ID(), op, []byte(params+"}"))
				if err != nil && rpc.Outside(err).Code != rpc.ObjectNotFound {
					t.Errorf("%s: %v", op, err)
				}
				switch rnd.IntN(100) {
				case 0:
					r.a.Release(elements[1+rnd.IntN(2)].ID())
				case 1, 2, 3:
					if v, ok := elements[3].Value().(*voice); ok {
						v.Attach(nil)
						v.Attach(&voicePads{v, media.Pad{}})
					}
				}
			}
		})
	}
	wait.Wait()
	stop()
	there := map[string]int{}
	for i, side := range []string{"getSinkConnections", "getSourceConnections"} {
		for _, o := range elements {
			b, err := r.a.Invoke(context.Background(), o.ID(), side, nil)
			if err != nil {
				continue // it is released
			}
			var list []map[string]any
			if err := json.Unmarshal(b, &list); err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				there[fmt.Sprint(c["source"], c["sink"], c["type"])] += 1 << (8 * i)
			}
		}
	}
	for c, n := range there {
		if n != 1|1<<8 {
			t.Errorf("%s: stands %d times with its source, %d with its sink", c, n&0xff, n>>8)
		}
	}
	told := map[string]bool{}
	for _, ev := range e.take() {
		told[fmt.Sprint(ev["source"], ev["sink"], ev["mediaType"])] = ev["event"] == "ElementConnected"
	}
	var open []string
	for c, connected := range told {
		if _, ok := there[c]; ok != connected {
			open = append(open, fmt.Sprintf("%s: told connected %t, is %t", c, connected, ok))
		}
	}
	if slices.Sort(open); len(open) > 0 || len(told) == 0 {
		t.Errorf("%d of %d: %q", len(open), len(told), open)
	}
}
