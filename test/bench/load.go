//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outcome is what one run of a gateway between clients and phones has shown.
type outcome struct {
	Unit       float64 // us of the gateway's CPU time per unit of work: a packet forwarded, or a frame converted each way
	SetUp      float64 // ms of its CPU time per leg
	RSS        float64 // kB per leg, once the handshakes are over
	Goroutines float64 // per leg, likewise; -1 where there are none to count
	P50, P99   float64 // us from a client to the phone and back; 0 where nothing comes back
	Loss       float64 // percent
	Busy       float64 // percent of the load's core
	Slow       float64 // percent that the load took longer than it should
	Note       string  // what both sides agreed on
}

// job is what a load process is asked for.
type job struct {
	kind, gateway string
	pid, legs     int
	seconds       int
	warmUp        time.Duration
}

// loadGC keeps the load's collector out of the way: a load that is late sends in bursts, which are cheaper to forward.
const loadGC = 1000

// rtpengineGateway in place of a socket's path: the orders go to rtpengine.
const rtpengineGateway = "rtpengine"

// load is the other side of a measurement: clients, phones, and the clock. It prints an outcome as JSON.
func load(ctx context.Context, args []string) error {
	j := job{warmUp: warmUp}
	f := flag.NewFlagSet("bench load", flag.ContinueOnError)
	f.StringVar(&j.kind, "kind", "", "webrtc or opus")
	f.StringVar(&j.gateway, "gateway", "", "Unix socket of the gateway, or rtpengine")
	f.IntVar(&j.pid, "pid", 0, "the gateway's process")
	f.IntVar(&j.legs, "legs", 0, "how many calls")
	f.IntVar(&j.seconds, "seconds", 0, "how long it is measured")
	if err := f.Parse(args); err != nil {
		return err
	}
	debug.SetGCPercent(loadGC)
	var o outcome
	var err error
	switch j.kind {
	case kindWebRTC:
		o, err = j.browsers(ctx)
	case kindOpus:
		o, err = j.talkers(ctx)
	default:
		err = fmt.Errorf("-kind is %q, expected %s or %s", j.kind, kindWebRTC, kindOpus)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// orders are a way to the gateway, of one goroutine.
type orders interface {
	call(id string, o order) (reply, error)
	Close() error
}

func (j *job) dial() (orders, error) {
	if j.gateway == rtpengineGateway {
		return dialRTPEngine(j.kind)
	}
	c, err := net.Dial("unix", j.gateway)
	if err != nil {
		return nil, err
	}
	return &line{c, json.NewDecoder(c), json.NewEncoder(c)}, nil
}

// line is a connection to a gateway of ours.
type line struct {
	net.Conn
	in  *json.Decoder
	out *json.Encoder
}

func (l *line) call(_ string, o order) (r reply, err error) {
	if err := l.out.Encode(o); err != nil {
		return r, err
	}
	if err := l.in.Decode(&r); err != nil {
		return r, fmt.Errorf("the gateway has ended: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// account is what the gateway has used so far.
type account struct {
	cpu        time.Duration
	rss        int // kB
	goroutines int // -1 = unknown
	mallocs    uint64
}

// account asks the gateway; only a process of ours has more to say than the kernel.
func (j *job) account() (a account, err error) {
	a.goroutines = -1
	if j.gateway != rtpengineGateway {
		o, err := j.dial()
		if err != nil {
			return a, err
		}
		defer o.Close()
		r, err := o.call("", order{})
		if err != nil {
			return a, err
		}
		a.goroutines, a.mallocs = r.Goroutines, r.Mallocs
	}
	if a.cpu, err = cpuTime(j.pid); err != nil {
		return a, err
	}
	a.rss, err = residentSet(j.pid)
	return a, err
}

// cpuTime is what a process has used; the number of its clock is made of its id (clock_getcpuclockid(3)).
func cpuTime(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

func residentSet(pid int) (kB int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(string(b), "VmRSS:")
	if _, err := fmt.Sscan(after, &kB); !ok || err != nil {
		return 0, fmt.Errorf("no VmRSS of process %d", pid)
	}
	return kB, nil
}

// atOnce is how many calls are set up at the same time.
const atOnce = 32

// setUp makes all calls, many at once.
func (j *job) setUp(ctx context.Context, one func(i int, o orders, id string) error) error {
	var work sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, min(atOnce, j.legs))
	for w := range errs {
		work.Go(func() {
			o, err := j.dial()
			if err != nil {
				errs[w] = err
				return
			}
			defer o.Close()
			for i := int(next.Add(1)) - 1; i < j.legs && errs[w] == nil && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				errs[w] = one(i, o, fmt.Sprintf("%d-%d", os.Getpid(), i))
			}
		})
	}
	work.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// Until the traffic is measured it flows for so long: addresses are learnt, DTLS falls asleep.
const warmUp = 4 * time.Second

// measure sends the packets of all calls every 20 ms, spread over 20 phases, and tells what the gateway used for them from the end
// of the warm-up on. units counts the work done so far. before is the account from before the first call.
func (j *job) measure(ctx context.Context, before account, units func() int64, send func(i int, seq uint16), began func()) (o outcome, err error) {
	set, err := cpuTime(j.pid)
	if err != nil {
		return o, err
	}
	o.SetUp = (set - before.cpu).Seconds() * 1e3 / float64(j.legs)
	var from, self time.Duration
	var done int64
	start, first := time.Now(), int(j.warmUp/time.Millisecond)
	total := first + j.seconds*1000
	for k := range total {
		if k == first {
			if j.pid != os.Getpid() {
				_ = syscall.Kill(j.pid, syscall.SIGUSR1) // a profile begins here
			}
			if from, err = cpuTime(j.pid); err != nil {
				return o, err
			}
			if self, err = cpuTime(os.Getpid()); err != nil {
				return o, err
			}
			done = units()
			began()
		}
		if k%50 == 0 && ctx.Err() != nil {
			return o, ctx.Err()
		}
		time.Sleep(time.Until(start.Add(time.Duration(k) * time.Millisecond)))
		for i := k % 20; i < j.legs; i += 20 {
			send(i, uint16(k/20))
		}
	}
	to, err := cpuTime(j.pid)
	if err != nil {
		return o, err
	}
	mine, err := cpuTime(os.Getpid())
	if err != nil {
		return o, err
	}
	done = units() - done
	if done == 0 {
		return o, errors.New("nothing came through the gateway")
	}
	o.Unit = (to - from).Seconds() * 1e6 / float64(done)
	o.Busy = (mine - self).Seconds() / float64(j.seconds) * 100
	o.Slow = (time.Since(start).Seconds()/(float64(total)/1e3) - 1) * 100
	return o, j.close(&o, before)
}

// close adds what is left when the traffic has ended.
func (j *job) close(o *outcome, before account) error {
	time.Sleep(300 * time.Millisecond)
	after, err := j.account()
	if err != nil {
		return err
	}
	o.RSS = float64(after.rss-before.rss) / float64(j.legs)
	o.Goroutines = -1
	if after.goroutines >= 0 {
		o.Goroutines = float64(after.goroutines-before.goroutines) / float64(j.legs)
	}
	return nil
}

// quantile of latencies, which it sorts.
func quantile(v []time.Duration, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[int(float64(len(v)-1)*q)].Seconds() * 1e6
}
