package webrtc

import (
	"context"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// What an offer costs until its answer is in force, on either stack, with certificates from the port's: most often one that was made ahead, of RSA as many as there are.
func BenchmarkAnswer(b *testing.B) {
	for name, s := range map[string]Stack{"own": Own, "PeerConnection": PeerConnection} {
		for kind, k := range map[string]Key{"ECDSA": ECDSA, "RSA": RSA} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				p, c := newPort(b, func(c *PortConfig) { c.RSA = true }), newCaller(b)
				offer := c.sdp("actpass")
				for b.Loop() {
					e, err := New(Config{Port: p, Stack: s, Key: k, Trickle: true})
					if err != nil {
						b.Fatal(err)
					}
					a, err := e.Answer(context.Background(), offer, media.Want{})
					if err != nil {
						b.Fatal(err)
					}
					if err := a.Commit(); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					if err := e.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
		}
	}
}
