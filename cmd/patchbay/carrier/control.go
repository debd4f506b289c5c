package carrier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
)

// control is the socket that takes commands: HTTP with JSON on a Unix socket that only its owner may use.
type control struct {
	c        *Carrier
	listener net.Listener
	server   *http.Server
	done     chan error
}

// Told is one line of a call in progress: an event, or at last how the call was.
type Told struct {
	At    time.Time `json:"at,omitzero"`
	Event string    `json:"event,omitempty"`
	Call  *Call     `json:"call,omitempty"`
	Error string    `json:"error,omitempty"`
}

const (
	orderBytes = 4096    // an order at most
	replyBytes = 1 << 20 // a reply at most
)

func newControl(path string, c *Carrier) (*control, error) {
	l, err := listenUnix(path)
	if err != nil {
		return nil, err
	}
	k := &control{c: c, listener: l, done: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", k.list)
	mux.HandleFunc("POST /calls", k.call)
	k.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelWarn)}
	go func() { k.done <- k.server.Serve(l) }()
	return k, nil
}

// listenUnix opens the socket. One that a carrier left behind is taken over; one that a carrier serves isn't.
func listenUnix(path string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("control socket %s: a carrier is running there already", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l, nil
}

// close ends all commands. The carrier has hung up before, so that they end by themselves.
func (k *control) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := k.server.Shutdown(ctx)
	if err != nil {
		err = k.server.Close()
	}
	if serr := <-k.done; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

func (k *control) list(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(k.c.Calls(r.URL.Query().Get("ended") == "true")); err != nil {
		k.c.log.Debug("control: reply not sent", "err", err)
	}
}

// call does an order and tells its events as they come, a line each. A client that goes away hangs up.
func (k *control) call(w http.ResponseWriter, r *http.Request) {
	var o Order
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, orderBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		http.Error(w, "order: "+err.Error(), http.StatusBadRequest)
		return
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	line := json.NewEncoder(w)
	tell := func(t Told) {
		_ = control.SetWriteDeadline(time.Now().Add(5 * time.Second)) // a client that has stopped to read doesn't stop the call
		if err := errors.Join(line.Encode(t), control.Flush()); err != nil {
			k.c.log.Debug("control: line not sent", "err", err)
		}
	}
	call, err := k.c.Call(r.Context(), o, func(e leg.Event) { tell(Told{At: e.At, Event: e.String()}) })
	last := Told{Call: &call}
	if err != nil {
		last = Told{Error: err.Error()}
	}
	tell(last)
}

// Client commands a running carrier.
type Client struct{ http http.Client }

// Connect makes a client for the carrier whose control socket is at path. It connects when it is first used.
func Connect(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Calls lists the calls that run now, oldest first; with ended also the last ones that don't.
func (c *Client) Calls(ctx context.Context, ended bool) ([]Call, error) {
	resp, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/calls?ended=%t", ended), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var calls []Call
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, replyBytes)).Decode(&calls); err != nil {
		return nil, fmt.Errorf("carrier's reply: %w", err)
	}
	return calls, nil
}

// Call asks the carrier to call an account, and returns when the call is over. told hears each event; it may be nil.
// Ending ctx hangs up.
func (c *Client) Call(ctx context.Context, o Order, told func(Told)) (Call, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return Call{}, err
	}
	resp, err := c.do(ctx, http.MethodPost, "/calls", b)
	if err != nil {
		return Call{}, err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, replyBytes))
	for {
		var t Told
		if err := lines.Decode(&t); err != nil {
			return Call{}, fmt.Errorf("the carrier went away in the call: %w", err)
		}
		switch {
		case t.Error != "":
			return Call{}, errors.New(t.Error)
		case t.Call != nil:
			return *t.Call, nil
		case told != nil:
			told(t)
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://carrier"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var sys *os.SyscallError
		if errors.As(err, &sys) && sys.Syscall == "connect" {
			return nil, fmt.Errorf("no demo carrier is running here (patchbay carrier starts one): %w", sys.Err)
		}
		return nil, fmt.Errorf("carrier: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, orderBytes))
		return nil, fmt.Errorf("carrier: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return resp, nil
}
