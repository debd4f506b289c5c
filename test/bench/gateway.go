//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
)

// order asks a gateway for one call: an offer from one side, and where the plain phone of the other is. An empty offer asks for a
// report instead.
type order struct {
	Offer string         `json:",omitempty"`
	Phone netip.AddrPort `json:",omitzero"`
}

// reply is the answer to the offer, and where the gateway takes the phone's media.
type reply struct {
	Answer string         `json:",omitempty"`
	Media  netip.AddrPort `json:",omitzero"`
	Error  string         `json:",omitempty"`

	Goroutines int    `json:",omitempty"` // of a report
	Mallocs    uint64 `json:",omitempty"`
}

// switchboard sets up calls within this process.
type switchboard interface {
	Call(order) (reply, error)
	Close() error
}

// gateway is one side of a measurement: calls between WebRTC or Opus and plain PCMU, ordered over a Unix socket.
func gateway(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("bench gateway", flag.ContinueOnError)
	kind := f.String("kind", "", "what bridges")
	path := f.String("socket", "", "Unix socket for orders")
	if err := f.Parse(args); err != nil {
		return err
	}
	done, err := profile()
	if err != nil {
		return err
	}
	defer done()
	b, err := newSwitchboard(*kind)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	l, err := net.Listen("unix", *path)
	if err != nil {
		return err
	}
	return serveOrders(ctx, l, b)
}

// serveOrders serves connections until ctx ends.
func serveOrders(ctx context.Context, l net.Listener, b switchboard) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		serving.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			take(c, b)
		})
	}
}

// take takes orders, a line each, until the connection ends.
func take(c net.Conn, b switchboard) {
	d, e := json.NewDecoder(bufio.NewReader(c)), json.NewEncoder(c)
	for {
		var o order
		if d.Decode(&o) != nil {
			return
		}
		var r reply
		if o.Offer == "" {
			// What set-up left behind goes back to the system as it would within minutes, so that what is counted is what legs hold.
			// Pools let go of theirs at the second collection.
			runtime.GC()
			debug.FreeOSMemory()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			r = reply{Goroutines: runtime.NumGoroutine(), Mallocs: m.Mallocs}
		} else if got, err := b.Call(o); err != nil {
			r.Error = err.Error()
		} else {
			r = got
		}
		if e.Encode(r) != nil {
			return
		}
	}
}

// The kinds of gateways that this program is.
const (
	kindWebRTC         = "webrtc"         // the product: media/webrtc's own stack, media/rtp
	kindPeerConnection = "peerconnection" // pion's PeerConnection, and a goroutine for each plain RTP socket
	kindOpus           = "opus"           // the product: media/rtp on both sides, media/opus between
)

func newSwitchboard(kind string) (switchboard, error) {
	switch kind {
	case kindWebRTC, kindOpus:
		return newPatchbay(kind)
	case kindPeerConnection:
		return newPeerConnections()
	}
	return nil, fmt.Errorf("-kind is %q, expected %s, %s or %s", kind, kindWebRTC, kindPeerConnection, kindOpus)
}

// profile writes where the measured side spends its time, into the file that PATCHBAY_BENCH_PROFILE names: from the signal that
// tells that the measurement begins, if one comes.
func profile() (done func(), err error) {
	name := os.Getenv("PATCHBAY_BENCH_PROFILE")
	if name == "" {
		signal.Ignore(syscall.SIGUSR1)
		return func() {}, nil
	}
	out, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	marks := make(chan os.Signal, 1)
	signal.Notify(marks, syscall.SIGUSR1)
	var work sync.WaitGroup
	work.Go(func() {
		for range marks {
			pprof.StopCPUProfile()
			_ = out.Truncate(0)
			_, _ = out.Seek(0, 0)
			_ = pprof.StartCPUProfile(out)
		}
	})
	return func() {
		signal.Stop(marks)
		close(marks)
		work.Wait()
		pprof.StopCPUProfile()
		_ = out.Close()
	}, nil
}
