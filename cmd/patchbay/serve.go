package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func newServeCommand() *cobra.Command {
	var file, dir string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long:  "Run the gateway. Without --config it runs the demo: users alice and bob, and a trunk to the demo carrier (`patchbay carrier`).",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file, dir)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "settings file; see deploy/patchbay.yaml")
	cmd.Flags().StringVar(&dir, "data", "", "data folder; node.data of the settings if empty")
	return cmd
}

// serve runs until ctx ends, then drains.
func serve(ctx context.Context, cfg Config, out, logs io.Writer) error {
	log, err := newLog(cfg.Log, logs)
	if err != nil {
		return err
	}
	calmCollector()
	s, err := wire(ctx, cfg, log)
	if err != nil {
		return err
	}
	if cfg.Demo {
		welcome(out, cfg)
	}
	return s.run(ctx)
}

func newLog(l Log, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return nil, fmt.Errorf("log.level %q: expected debug, info, warn or error", l.Level)
	}
	opt := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt)), nil
	}
	return slog.New(slog.NewTextHandler(w, opt)), nil
}

// welcome prints what to dial and where to look.
func welcome(w io.Writer, cfg Config) {
	sip := cfg.SIP.Listen[0].Address.String()
	var b strings.Builder
	fmt.Fprintf(&b, `
Patchbay is up.

  Open       %-27s the page to call with
             %-27s the same over TLS (a self-signed certificate, unless the settings name one)

  or register a phone at %s (UDP or TCP), as one of these users:

`, pageURL("http", cfg.HTTP.Listen, cfg), pageURL("https", cfg.HTTPS.Listen, cfg), sip)
	for _, u := range cfg.Users {
		// Demo passwords are ours and generated; those of a settings file are never shown.
		if demoUserID(u.ID) {
			fmt.Fprintf(&b, "    user %-6s  password %s  number %s\n", u.Login, string(u.Password), strings.Join(u.Numbers, ", "))
		}
	}
	fmt.Fprintf(&b, `
  Dial       100, 101   the other phone
             9000       speech, then echo
             9001       1 kHz tone at 0 dBm0 (milliwatt)
             9002       busy
             9003       no answer
             9004       an announcement before the answer (early media)
             9005       reads your digits back to you
             9006       hangs up after 3 seconds
             9503       out of order
             9404       a number that doesn't exist

  Look at    http://%s/api/v1/calls      calls now
             http://%s/metrics           counters
             %s    records
             %s    one call's story

`, cfg.HTTP.Listen, cfg.HTTP.Listen, itself("cdr list", cfg), itself("why CALL-ID", cfg))
	_, _ = io.WriteString(w, b.String())
}

// itself is a command line of this program that works as it is printed, on the data of this process.
func itself(command string, cfg Config) string {
	line := os.Args[0] + " " + command
	if cfg.Node.Data != dataDir() {
		line += " --data " + cfg.Node.Data
	}
	return line
}

// pageURL is where a browser finds the page of a listener.
func pageURL(scheme string, at netip.AddrPort, cfg Config) string {
	name := at.Addr().String()
	if at.Addr().IsUnspecified() {
		name = cfg.domain()
	}
	return fmt.Sprintf("%s://%s:%d/", scheme, uriHost(name), at.Port())
}

func demoUserID(id string) bool { return id == "alice" || id == "bob" }

// listen opens an HTTP port early, so that a port in use is told before anything else starts.
func listen(field string, at netip.AddrPort) (net.Listener, error) {
	network := "tcp"
	if at.Addr().Unmap().Is4() {
		network = "tcp4" // "tcp" alone with 0.0.0.0 would open a socket of both families
	}
	l, err := net.Listen(network, at.String())
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", field, at, err)
	}
	return l, nil
}

// run serves until ctx ends; billing starts first and stops last.
func (s *server) run(ctx context.Context) error {
	s.startRecovery(ctx)
	s.files.Resend()
	httpDone := make(chan error, 2)
	go func() { httpDone <- s.http.Serve(s.plain) }()
	go func() { httpDone <- s.http.ServeTLS(s.secure, "", "") }()
	gwCtx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { s.certificates.Run(gwCtx) })
	watching.Go(func() { returnMemory(gwCtx) })
	gwDone := make(chan error, 1)
	go func() { gwDone <- s.gateway.Run(gwCtx, s.cfg.Node.Drain) }()
	notify("READY=1")

	var errs []error
	select {
	case err := <-httpDone:
		errs = append(errs, fmt.Errorf("HTTP server: %w", err))
		stop()
		errs = append(errs, <-gwDone)
	case err := <-gwDone:
		errs = append(errs, err)
	}
	notify("STOPPING=1")
	errs = append(errs, s.close())
	return errors.Join(errs...)
}

// close ends everything in the order in which it depends on each other.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var errs []error
	if s.http != nil {
		errs = append(errs, ignore(s.http.Shutdown(ctx), context.DeadlineExceeded))
	}
	if s.rpc != nil {
		errs = append(errs, s.rpc.Close(ctx))
	}
	if s.space != nil {
		errs = append(errs, s.space.Close(ctx))
	}
	if s.telephony != nil {
		s.telephony.Close()
	}
	if s.reports != nil {
		s.reports.Close()
	}
	if s.past != nil {
		s.past.Close()
	}
	s.recovering.Wait()
	if s.gateway != nil {
		errs = append(errs, s.gateway.Close())
	}
	if s.streams != nil {
		s.streams.close()
	}
	if s.front != nil {
		errs = append(errs, s.front.Close())
	}
	if s.browsers != nil {
		errs = append(errs, s.browsers.Close())
	}
	if s.files != nil {
		errs = append(errs, s.files.Close())
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close())
	}
	if s.clock != nil {
		s.clock.Close()
	}
	if s.net != nil {
		errs = append(errs, s.net.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close(ctx))
	}
	for _, l := range [...]net.Listener{s.plain, s.secure} {
		if l != nil {
			_ = l.Close()
		}
	}
	return errors.Join(errs...)
}

func ignore(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}

// notify tells systemd how we are (sd_notify); without systemd it does nothing.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}
