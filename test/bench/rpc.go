//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// mostOfEcho is what a JSON-RPC round trip may take, to one of the same bytes through a WebSocket server that only sends them
// back.
const mostOfEcho = 2.5

// rpcRound is one round: us per round trip.
type rpcRound struct{ echo, get, set float64 }

// roundTrips measures how long a program waits for the reply to an invoke, one after another over loopback, beside a bare
// echo: the two take turns on the same processors.
func roundTrips(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench rpc", flag.ContinueOnError)
	rounds := f.Int("rounds", 7, "how often each is measured, 1 to 100")
	var must bool
	goalFlag(f, &must)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *rounds > 100 {
		return fmt.Errorf("-rounds is %d, expected 1 to 100", *rounds)
	}
	list, err := measureRoundTrips(ctx, *rounds, 300*time.Millisecond)
	if err != nil {
		return err
	}
	of := func(figure func(rpcRound) float64) span {
		var v []float64
		for _, r := range list {
			v = append(v, figure(r))
		}
		return spanOf(v)
	}
	fmt.Printf("\nJSON-RPC over WebSocket, one request after the other, %d rounds\n", *rounds)
	tw := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "\tus/round trip [min..max]\tto echo [min..max]\n")
	for _, x := range []struct {
		name   string
		figure func(rpcRound) float64
	}{{"echo", func(r rpcRound) float64 { return r.echo }}, {"getName", func(r rpcRound) float64 { return r.get }}, {"setName", func(r rpcRound) float64 { return r.set }}} {
		us, ratio := of(x.figure), of(func(r rpcRound) float64 { return x.figure(r) / r.echo })
		fmt.Fprintf(tw, "%s\t%.1f [%.1f..%.1f]\t%.2f [%.2f..%.2f]\n", x.name, us.median, us.min, us.max, ratio.median, ratio.min, ratio.max)
	}
	_ = tw.Flush() // as judge's
	ratio := of(func(r rpcRound) float64 { return max(r.get, r.set) / r.echo }).median
	if judge(os.Stdout, []goal{{"JSON-RPC round trip", ratio, mostOfEcho, 2, "times echo"}}) > 0 && must {
		return errors.New("the goal is missed")
	}
	return nil
}

func measureRoundTrips(ctx context.Context, rounds int, each time.Duration) (list []rpcRound, err error) {
	server, stop, err := startRPC()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	echo, stopEcho, err := listenWeb(http.HandlerFunc(echoWeb))
	if err != nil {
		return nil, err
	}
	defer stopEcho()
	client, err := dialRPC(ctx, server)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bare, err := dialRPC(ctx, echo)
	if err != nil {
		return nil, err
	}
	defer bare.Close()
	var made struct{ Result struct{ Value string } }
	if err := client.ask("create", `"type":"MediaPipeline"`, &made); err != nil {
		return nil, err
	}
	at := fmt.Sprintf(`"object":%q,`, made.Result.Value)
	get, set := at+`"operation":"getName"`, at+`"operation":"setName","operationParams":{"name":"a pipeline"}`
	for range rounds {
		var r rpcRound
		for _, x := range []struct {
			on     *rpcClient
			params string
			us     *float64
		}{{bare, get, &r.echo}, {client, get, &r.get}, {client, set, &r.set}} {
			if *x.us, err = x.on.trips(x.params, each); err != nil {
				return nil, err
			}
		}
		list = append(list, r)
	}
	return list, nil
}

// startRPC serves Kurento's classes on loopback.
func startRPC() (url string, stop func() error, err error) {
	classes := rpc.NewClasses(kurento.Modules()...)
	space, err := kurento.Register(classes, kurento.Config{}).Open(classes, rpc.Config{})
	if err != nil {
		return "", nil, err
	}
	server := space.Serve(rpc.ServerConfig{})
	url, closeWeb, err := listenWeb(server)
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if closeWeb != nil {
			closeWeb()
		}
		return errors.Join(server.Close(ctx), space.Close(ctx))
	}
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return url, stop, nil
}

func listenWeb(h http.Handler) (url string, stop func(), err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // until it is closed
	}()
	return "ws://" + l.Addr().String() + "/", func() { _ = s.Close(); <-done }, nil
}

// echoWeb sends back what comes.
func echoWeb(w http.ResponseWriter, r *http.Request) {
	var u websocket.Upgrader
	ws, err := u.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	for {
		kind, b, err := ws.ReadMessage()
		if err != nil || ws.WriteMessage(kind, b) != nil {
			return
		}
	}
}

// rpcClient asks one thing after the other.
type rpcClient struct {
	*websocket.Conn
	next int
}

func dialRPC(ctx context.Context, url string) (*rpcClient, error) {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", url, err)
	}
	return &rpcClient{Conn: ws}, nil
}

func (c *rpcClient) ask(method, params string, reply any) error {
	c.next++
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, c.next, method, params)); err != nil {
		return err
	}
	_, b, err := c.ReadMessage()
	if err != nil {
		return err
	}
	if strings.Contains(string(b), `"error":`) {
		return fmt.Errorf("%s failed: %s", method, b)
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(b, reply)
}

// trips asks for a while and returns the mean, us.
func (c *rpcClient) trips(params string, each time.Duration) (float64, error) {
	begin, n := time.Now(), 0
	for time.Since(begin) < each {
		if err := c.ask("invoke", params, nil); err != nil {
			return 0, err
		}
		n++
	}
	return float64(time.Since(begin).Microseconds()) / float64(n), nil
}
