//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"
)

// What an answer to a browser's offer is held to, from the request to the reply on the JSON-RPC socket.
const (
	mostAnswer    = 20.0 // ms, 99 of 100
	mostAnswerCPU = 2.0  // ms of the whole process
)

// browserOffer is what Chromium offers for audio.
const browserOffer = "v=0\r\no=- 4611733054762223410 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:0Fe3\r\na=ice-pwd:h1mYLpCbVJcbDq2SBhJpyEh4\r\n" +
	"a=ice-options:trickle\r\na=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF\r\n" +
	"a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=msid:- 5f2e\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n" +
	"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n" +
	"a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:3735928559 cname:pb\r\n"

// videoPart is what it offers for video and data beside.
const videoPart = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:0Fe3\r\na=ice-pwd:h1mYLpCbVJcbDq2SBhJpyEh4\r\n" +
	"a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF\r\na=setup:actpass\r\na=mid:1\r\na=sendrecv\r\n" +
	"a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"

// offers measures how long processOffer takes, and what it costs.
func offers(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench offer", flag.ContinueOnError)
	rounds := f.Int("rounds", 20, "how many pipelines of ten endpoints each, 2 to 500")
	var strict bool
	goalFlag(f, &strict)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 2 || *rounds > 500 {
		return fmt.Errorf("-rounds is %d, expected 2 to 500", *rounds)
	}
	if moved, err := isolate(ctx, append([]string{"offer"}, args...)); moved || err != nil {
		return err
	}
	g, err := startProduct(ctx)
	if err != nil {
		return err
	}
	defer g.close()
	video := strings.Replace(browserOffer, "BUNDLE 0", "BUNDLE 0 1", 1) + videoPart
	var goals []goal
	tw := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "\nprocessOffer, %d each\tp50 ms\tp99 ms\tCPU ms\twith create and release: CPU ms\n", *rounds*10)
	for _, kind := range []struct {
		name, sdp string
		held      bool
	}{{"audio", browserOffer, true}, {"audio and video", video, false}} {
		m, err := g.answer(ctx, kind.sdp, *rounds*10)
		if err != nil {
			return fmt.Errorf("offer of %s: %w", kind.name, err)
		}
		fmt.Fprintf(tw, "%s\t%.2f\t%.2f\t%.2f\t%.2f\n", kind.name, m.p50, m.p99, m.cpu, m.all)
		if kind.held {
			goals = append(goals, goal{"an offer of " + kind.name + " answered, p99", m.p99, mostAnswer, 1, "ms"},
				goal{"its CPU", m.cpu, mostAnswerCPU, 2, "ms"})
		}
	}
	_ = tw.Flush() // to standard output
	fmt.Println()
	if missed := judge(os.Stdout, goals); missed > 0 && strict {
		return fmt.Errorf("%d of %d goals were missed", missed, len(goals))
	}
	return nil
}

// gatewayProcess is the real binary and one connection to it.
type gatewayProcess struct {
	cmd  *exec.Cmd
	dir  string
	conn *websocket.Conn
	next int
}

func startProduct(ctx context.Context) (g *gatewayProcess, err error) {
	bin := os.Getenv("PATCHBAY_BIN")
	if bin == "" {
		return nil, errors.New("PATCHBAY_BIN names no binary of Patchbay")
	}
	g = &gatewayProcess{}
	if g.dir, err = os.MkdirTemp("", "patchbay-bench-"); err != nil {
		return nil, err
	}
	file := filepath.Join(g.dir, "patchbay.yaml")
	if err := os.WriteFile(file, []byte("demo: false\nlog: {level: warn}\nbilling: {database: none}\n"), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(g.dir))
	}
	g.cmd = exec.CommandContext(ctx, bin, "serve", "--config", file, "--data", filepath.Join(g.dir, "data"))
	g.cmd.Stderr = os.Stderr
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(g.dir))
	}
	for end := time.Now().Add(20 * time.Second); ; {
		if r, err := http.Get("http://127.0.0.1:8888/readyz"); err == nil {
			_ = r.Body.Close() // only its status counts
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(end) {
			g.close()
			return nil, errors.New("patchbay isn't ready after 20 s")
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			g.close()
			return nil, err
		}
	}
	if g.conn, _, err = websocket.DefaultDialer.DialContext(ctx, "ws://127.0.0.1:8888/kurento", nil); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *gatewayProcess) close() {
	if g.conn != nil {
		_ = g.conn.Close() // the process ends next
	}
	_ = g.cmd.Process.Kill() // it has nothing to lose
	_ = g.cmd.Wait()
	_ = os.RemoveAll(g.dir)
}

// call sends a request and returns the value of its result.
func (g *gatewayProcess) call(method string, params map[string]any) (json.RawMessage, error) {
	g.next++
	err := g.conn.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": g.next, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	for {
		var m struct {
			ID     int `json:"id"`
			Result struct{ Value json.RawMessage }
			Error  *struct{ Message string }
		}
		if err := g.conn.ReadJSON(&m); err != nil {
			return nil, err
		}
		switch {
		case m.ID != g.next:
		case m.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
		default:
			return m.Result.Value, nil
		}
	}
}

func (g *gatewayProcess) create(class string, params map[string]any) (id string, err error) {
	v, err := g.call("create", map[string]any{"type": class, "constructorParams": params})
	if err == nil {
		err = json.Unmarshal(v, &id)
	}
	return id, err
}

type answered struct{ p50, p99, cpu, all float64 } // ms

// answer has n endpoints answer an offer, ten and then a pause, as applications do that aren't under attack.
func (g *gatewayProcess) answer(ctx context.Context, sdp string, n int) (m answered, err error) {
	var times []float64
	var cpu, all time.Duration
	for i := 0; i < n; i += 10 {
		before, err := g.cpu()
		if err != nil {
			return m, err
		}
		pipeline, err := g.create("MediaPipeline", nil)
		if err != nil {
			return m, err
		}
		var ids []string
		for range 10 {
			id, err := g.create("WebRtcEndpoint", map[string]any{"mediaPipeline": pipeline})
			if err != nil {
				return m, err
			}
			ids = append(ids, id)
		}
		began, err := g.cpu()
		if err != nil {
			return m, err
		}
		for _, id := range ids {
			at := time.Now()
			if _, err := g.call("invoke", map[string]any{"object": id, "operation": "processOffer", "operationParams": map[string]any{"offer": sdp}}); err != nil {
				return m, err
			}
			times = append(times, float64(time.Since(at).Microseconds())/1000)
		}
		ended, err := g.cpu()
		if err != nil {
			return m, err
		}
		if _, err := g.call("release", map[string]any{"object": pipeline}); err != nil {
			return m, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return m, err
		}
		after, err := g.cpu()
		if err != nil {
			return m, err
		}
		cpu += ended - began
		all += after - before
	}
	slices.Sort(times)
	count := float64(len(times))
	return answered{p50: times[len(times)/2], p99: times[len(times)*99/100], cpu: cpu.Seconds() * 1000 / count, all: all.Seconds() * 1000 / count}, nil
}

// cpu is the CPU time of all threads of the process.
func (g *gatewayProcess) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", g.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("patchbay has no threads in /proc: %w", err)
	}
	var sum int64
	for _, name := range files {
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that has just ended
		}
		var ns int64
		if err == nil {
			_, err = fmt.Sscan(string(b), &ns)
		}
		if err != nil {
			return 0, err
		}
		sum += ns
	}
	return time.Duration(sum), nil
}
