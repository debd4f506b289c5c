package opus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/udp"
)

// BenchmarkRelayBesideTranscoding measures what calls that are only relayed notice of calls that are transcoded by the same
// socket loops: from sendto in another process to the kernel's time stamp on what came back. docs/adr/0003 has the figures.
//
//	go test -run '^$' -bench RelayBeside -benchtime 1x ./media/opus
func BenchmarkRelayBesideTranscoding(b *testing.B) {
	for _, calls := range []int{0, 1, 10, 50, 100} {
		for _, workers := range []int{-1, 1, 2} {
			b.Run(fmt.Sprintf("calls=%d/workers=%d", calls, workers), func(b *testing.B) {
				for b.Loop() {
					beside(b, calls, workers)
				}
			})
		}
	}
}

const (
	relayed  = 20 // streams of G.711
	measured = 4 * time.Second
)

// load is what the process that makes packets is told, and what it tells.
type load struct {
	Sink            netip.AddrPort // where it gets relayed packets back
	Relay           []netip.AddrPort
	Opus, Phone     []netip.AddrPort
	P50, P99, Worst float64 // ms
	Sent, Came      int
}

func beside(b *testing.B, calls, workers int) {
	reg := registry(b)
	reg.SetWorkers(workers)
	n, err := udp.New(udp.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	lo := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	fd, back := receiver(b)
	defer func() { _ = unix.Close(fd) }()
	bin, err := n.Open(lo, nobody{}) // where transcoded packets end
	if err != nil {
		b.Fatal(err)
	}
	open := func(f *media.Format, to *media.Format, where netip.AddrPort) netip.AddrPort {
		w := &wire{f: f, src: media.NewSource(reg, nil), to: udp.From(where), caps: &media.Caps{Formats: []*media.Format{to}}}
		w.src.SetFormats(f)
		w.src.Link(w)
		s, err := n.Open(lo, w)
		if err != nil {
			b.Fatal(err)
		}
		w.out = bin
		b.Cleanup(w.src.Close)
		return s.LocalAddr()
	}
	l := load{Sink: back}
	for range relayed {
		l.Relay = append(l.Relay, open(media.PCMU(), media.PCMU(), back))
	}
	for range calls {
		l.Opus = append(l.Opus, open(Format(), media.PCMU(), bin.LocalAddr()))
		l.Phone = append(l.Phone, open(media.PCMU(), Format(), bin.LocalAddr()))
	}
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	generate(b, fd, &l)
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	busy := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(l.P50, "p50-ms")
	b.ReportMetric(l.P99, "p99-ms")
	b.ReportMetric(l.Worst, "max-ms")
	b.ReportMetric(busy.Seconds()/measured.Seconds()*100, "%core")
	b.ReportMetric(float64(l.Sent-l.Came), "lost")
	b.ReportMetric(float64(reg.Offload().Dropped), "dropped")
	b.ReportMetric(0, "ns/op")
}

type nobody struct{}

func (nobody) Datagram([]byte, udp.Addr, int64) {}
func (nobody) Tick(int64)                       {}

// wire is the least endpoint: RTP in, its source, and itself as sink, RTP out.
type wire struct {
	media.Inlet
	f    *media.Format
	src  *media.Source
	caps *media.Caps
	out  *udp.Socket
	to   udp.Addr
	buf  [1500]byte
}

func (w *wire) Tick(int64)        {}
func (w *wire) Caps() *media.Caps { return w.caps }

func (w *wire) Datagram(p []byte, _ udp.Addr, now int64) {
	if len(p) > 12 {
		w.src.Send(&media.Frame{Format: w.f, Payload: p[12:], Sequence: binary.BigEndian.Uint16(p[2:]), Timestamp: binary.BigEndian.Uint32(p[4:]), Arrival: now})
	}
}

func (w *wire) Push(f *media.Frame) {
	binary.BigEndian.PutUint16(w.buf[2:], f.Sequence)
	binary.BigEndian.PutUint32(w.buf[4:], f.Timestamp)
	_ = w.out.WriteTo(w.buf[:12+copy(w.buf[12:], f.Payload)], &w.to)
}

// receiver is a socket whose datagrams carry the kernel's time.
func receiver(b *testing.B) (int, netip.AddrPort) {
	b.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	for option, v := range map[int]int{unix.SO_TIMESTAMPNS: 1, unix.SO_RCVBUF: 4 << 20} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, v); err != nil {
			b.Fatal(err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		b.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		b.Fatal(err)
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
}

const generatorEnv = "PATCHBAY_OPUS_LOAD"

// generate runs the load in another process, so that it has its own scheduler.
func generate(b *testing.B, fd int, l *load) {
	b.Helper()
	in, err := json.Marshal(l)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), generatorEnv+"="+string(in))
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(must2(unix.Dup(fd))), "receiver")}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	_ = cmd.ExtraFiles[0].Close()
	if err != nil {
		b.Fatalf("load: %v", err)
	}
	if err := json.Unmarshal(out, l); err != nil {
		b.Fatalf("load: %v: %s", err, out)
	}
}

func must2(n int, err error) int {
	must(err)
	return n
}

// generator is the other process: each stream 50 packets a second, their phases spread over 20 ms.
func generator(arg string) error {
	runtime.LockOSThread()
	var l load
	if err := json.Unmarshal([]byte(arg), &l); err != nil {
		return err
	}
	const in = 3 // the receiver
	said := g711.Mu().Decode(nil, bytes.Repeat(mediatest.Tone(media.PCMU(), 440, -10, 1)[0], 1))
	if b, err := os.ReadFile("testdata/speech.ul"); err == nil {
		said = g711.Mu().Decode(nil, b)
	}
	type stream struct {
		to     unix.SockaddrInet4
		frames [][]byte
		ts     int
		stamp  bool
	}
	var all []stream
	add := func(to netip.AddrPort, frames [][]byte, ts int, stamp bool) {
		all = append(all, stream{unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}, frames, ts, stamp})
	}
	var law, opus [][]byte
	for i := 0; i+160 <= len(said); i += 160 {
		law = append(law, g711.Mu().Encode(nil, said[i:i+160]))
	}
	for _, f := range convert(newEncoder(rates[2]), linear(upsampled(said, 6), 960)...) {
		opus = append(opus, f.Payload)
	}
	for _, to := range l.Relay {
		add(to, law, 160, true)
	}
	for i := range l.Opus {
		add(l.Opus[i], opus, 960, false)
		add(l.Phone[i], law, 160, false)
	}
	// A fixed shuffle: relayed streams among the others.
	for i := range all {
		j := (i * 7919) % len(all)
		all[i], all[j] = all[j], all[i]
	}
	out, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var late []float64
	buf, oob, packet := make([]byte, 2000), make([]byte, 256), make([]byte, 2000)
	collect := func() {
		for {
			n, on, _, _, err := unix.Recvmsg(in, buf, oob, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			msgs, _ := syscall.ParseSocketControlMessage(oob[:on])
			if n < 28 || len(msgs) == 0 {
				continue
			}
			at := int64(binary.NativeEndian.Uint64(msgs[0].Data))*1e9 + int64(binary.NativeEndian.Uint64(msgs[0].Data[8:]))
			late = append(late, float64(at-int64(binary.BigEndian.Uint64(buf[12:])))/1e6)
		}
	}
	begin := time.Now().Add(50 * time.Millisecond)
	warm := int(time.Second / (20 * time.Millisecond))
	ticks := warm + int(measured/(20*time.Millisecond))
	for tick := range ticks {
		for i := range all {
			due := begin.Add(time.Duration(tick)*20*time.Millisecond + time.Duration(i)*20*time.Millisecond/time.Duration(len(all)))
			if d := time.Until(due); d > 0 {
				ts := unix.NsecToTimespec(int64(d))
				_ = unix.Nanosleep(&ts, nil)
			}
			s := &all[i]
			p := append(packet[:12], s.frames[tick%len(s.frames)]...)
			binary.BigEndian.PutUint16(p[2:], uint16(tick))
			binary.BigEndian.PutUint32(p[4:], uint32(tick*s.ts))
			if s.stamp {
				if tick >= warm {
					l.Sent++
				}
				binary.BigEndian.PutUint64(p[12:], uint64(time.Now().UnixNano()))
			}
			_ = unix.Sendto(out, p, 0, &s.to)
		}
		if tick == warm-1 {
			time.Sleep(5 * time.Millisecond)
			collect()
			late = late[:0]
		}
		collect()
	}
	time.Sleep(200 * time.Millisecond)
	collect()
	slices.Sort(late)
	l.Came = len(late)
	at := func(q float64) float64 { return late[min(int(math.Ceil(q*float64(len(late)))), len(late)-1)] }
	if len(late) > 0 {
		l.P50, l.P99, l.Worst = at(0.5), at(0.99), at(1)
	}
	return json.NewEncoder(os.Stdout).Encode(&l)
}
