//go:build linux

package main

import (
	"context"
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

	"github.com/patchbay/patchbay/web/webtest"
)

// mostConnect is what a browser may wait, in ms, from its own offer (setLocalDescription) to a connection with ICE and DTLS: at the
// 95th percentile. In between lie the candidates that the page waits for, the call's routing and records, and the far side,
// which answers at once.
const mostConnect = 150.0

const (
	echoNumber = "9001" // of the demo carrier: it answers at once
	pageURL    = "http://127.0.0.1:8888/"
)

// setup measures how long Chromium waits for its connection: a page of the product calls the demo carrier, one call after
// the other.
func setup(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench setup", flag.ContinueOnError)
	calls := f.Int("calls", 30, "how many calls, 10 to 1000")
	var must bool
	goalFlag(f, &must)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *calls < 10 || *calls > 1000 {
		return fmt.Errorf("-calls is %d, expected 10 to 1000", *calls)
	}
	if moved, err := isolate(ctx, append([]string{"setup"}, args...)); moved || err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stop, err := startDemo(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	list, err := connections(ctx, dir, *calls)
	if err != nil {
		return err
	}
	offer := percentiles(list, func(c webtest.Connection) float64 { return c.Connected - c.Offered })
	answer := percentiles(list, func(c webtest.Connection) float64 { return c.Agreed - c.Offered })
	agreed := percentiles(list, func(c webtest.Connection) float64 { return c.Connected - c.Agreed })
	fmt.Printf("\nChromium's connection, %d calls one after the other\n", *calls)
	tw := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "\tp50 ms\tp95 ms\tmost ms\n")
	fmt.Fprintf(tw, "from its offer to connected\t%.0f\t%.0f\t%.0f\n", offer[0], offer[1], offer[2])
	fmt.Fprintf(tw, "  its offer to the answer: signalling, with the far side's\t%.0f\t%.0f\t%.0f\n", answer[0], answer[1], answer[2])
	fmt.Fprintf(tw, "  the answer to connected: ICE and DTLS\t%.0f\t%.0f\t%.0f\n", agreed[0], agreed[1], agreed[2])
	_ = tw.Flush() // as judge's
	missed := judge(os.Stdout, []goal{{"Chromium from offer to connected, p95", offer[1], mostConnect, 0, "ms"}})
	if missed > 0 && must {
		return errors.New("the goal is missed")
	}
	return nil
}

// startDemo starts the product with its demo carrier, which keep their data in dir.
func startDemo(ctx context.Context, dir string) (stop func(), err error) {
	bin := os.Getenv("PATCHBAY_BIN")
	if bin == "" {
		return nil, errors.New("PATCHBAY_BIN names no binary of Patchbay")
	}
	settings := filepath.Join(dir, "patchbay.yaml")
	if err := os.WriteFile(settings, []byte("demo: true\nbilling: {database: none}\n"), 0o600); err != nil {
		return nil, err
	}
	var running []*exec.Cmd
	stop = func() {
		for _, c := range running {
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Wait() // how it ended is of no interest
		}
	}
	data := filepath.Join(dir, "data")
	for _, args := range [][]string{{"carrier", "--data", data}, {"serve", "--config", settings, "--data", data}} {
		c := exec.CommandContext(ctx, bin, args...)
		log, err := os.Create(filepath.Join(dir, args[0]+".log"))
		if err != nil {
			stop()
			return nil, err
		}
		defer log.Close()
		c.Stdout, c.Stderr, c.WaitDelay = log, log, 5*time.Second
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			stop()
			return nil, err
		}
		running = append(running, c)
	}
	client := http.Client{Timeout: time.Second}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r, err := client.Get(pageURL + "readyz"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return stop, nil
			}
		}
		if time.Now().After(end) {
			stop()
			log, _ := os.ReadFile(filepath.Join(dir, "serve.log"))
			return nil, fmt.Errorf("patchbay isn't ready after 20 s:\n%s", log)
		}
	}
}

// connections calls as often and returns the page's connections. The browser's first one, for which it loads what it
// needs, is left out.
func connections(ctx context.Context, dir string, calls int) ([]webtest.Connection, error) {
	password, err := os.ReadFile(filepath.Join(dir, "data", "demo", "alice.password"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(calls)*5*time.Second)
	defer cancel()
	b, err := webtest.Start(ctx, webtest.Config{})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	p, err := b.Open(ctx, pageURL)
	if err != nil {
		return nil, err
	}
	state := func(s string) string {
		return fmt.Sprintf(`document.querySelector('[data-testid=call]')?.dataset.state === %q`, s)
	}
	err = errors.Join(
		p.WatchConnections(ctx),
		p.Fill(ctx, "#user", "alice"), p.Fill(ctx, "#password", strings.TrimSpace(string(password))), p.Click(ctx, "#login"),
		p.Wait(ctx, `document.getElementById('page').dataset.line === 'ready'`))
	for range calls + 1 {
		if err != nil {
			return nil, err
		}
		err = errors.Join(
			p.Fill(ctx, "#number", echoNumber), p.Click(ctx, "#dial"),
			p.Wait(ctx, `connections.at(-1)?.connectionState === 'connected' && `+state("talking")),
			p.Click(ctx, "#hangup"), p.Wait(ctx, state("ended")), p.Click(ctx, "#dismiss"))
	}
	if err != nil {
		return nil, err
	}
	list, err := p.Connections(ctx)
	if err != nil || len(list) != calls+1 {
		return nil, fmt.Errorf("%d connections after %d calls: %w", len(list), calls+1, err)
	}
	return list[1:], nil
}

// percentiles are the 50th, the 95th and the greatest (nearest rank).
func percentiles(list []webtest.Connection, figure func(webtest.Connection) float64) [3]float64 {
	var v []float64
	for _, c := range list {
		v = append(v, figure(c))
	}
	slices.Sort(v)
	rank := func(percent int) float64 { return v[(percent*len(v)+99)/100-1] }
	return [3]float64{rank(50), rank(95), v[len(v)-1]}
}
