package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/cmd/patchbay/phone"
)

// callFlags are what `patchbay call` is asked for.
type callFlags struct {
	data, server, http, transport string
	user, password, codecs, play  string
	plan                          phone.Plan
	browser                       bool
	answer, demo, json, debug     bool
}

func newCallCommand() *cobra.Command {
	var f callFlags
	cmd := &cobra.Command{
		Use:   "call NUMBER",
		Short: "Call a number from a phone without a handset or a browser without a window, and measure what is heard",
		Long: `Call a number from a phone without a handset: it registers, dials (or waits with --answer), plays, measures what it hears,
and tells its story. The exit code is 0 if the call was answered, media came, and it ended as planned.

With --browser it is a browser instead: it logs in at --http as the page does, SIP goes over WebSocket to the same server, and
media is WebRTC (ICE, DTLS-SRTP). --demo calls from a browser.

The passwords of alice and bob, the users of the demo, are read from the data folder.`,
		Example: `  patchbay call 9000 --user alice --play tone:440@-10 --duration 8s
  patchbay call 9005 --user alice --dtmf 159#
  patchbay call 9000 --browser
  patchbay call --answer --user bob --record heard.wav
  patchbay call --demo`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.demo && len(args)+btoi(f.answer) == 0:
				f.browser = true
				if err := f.choose(cmd); err != nil {
					return err
				}
				return demo(cmd, f)
			case f.demo || f.answer == (len(args) == 1):
				return fmt.Errorf("expected either a number to dial, or --answer, or --demo")
			case len(args) == 1:
				f.plan.Number = args[0]
			}
			if err := f.choose(cmd); err != nil {
				return err
			}
			return callOnce(cmd, f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", "", "data folder of the demo; the default one if empty")
	fl.BoolVar(&f.browser, "browser", false, "call from a browser rather than a phone: WebRTC, SIP over WebSocket")
	fl.StringVar(&f.http, "http", "127.0.0.1:8888", "with --browser: where to log in, host:port, or a URL of http or https")
	fl.StringVar(&f.server, "server", "127.0.0.1:5060", "where to register, host or host:port")
	fl.StringVar(&f.transport, "transport", "udp", "udp or tcp")
	fl.StringVar(&f.user, "user", "alice", "user to register as")
	fl.StringVar(&f.password, "password", "", "password of the user; alice's and bob's are found by themselves")
	fl.StringVar(&f.codecs, "codecs", "pcmu,pcma", "codecs to offer, of pcmu, pcma and opus, best first; a browser offers opus,pcmu,pcma")
	fl.StringVar(&f.play, "play", "tone:440@-10", "what to play: tone:HZ@DBM0, a WAV file (8 kHz, mono), or silence")
	fl.StringVar(&f.plan.Record, "record", "", "WAV file for what is heard")
	fl.DurationVar(&f.plan.Talk, "duration", 5*time.Second, "hang up so long after the answer; 0 = only the other side does")
	fl.DurationVar(&f.plan.Ring, "ring", time.Minute, "how long it may ring, or how long to wait with --answer")
	fl.StringVar(&f.plan.Digits, "dtmf", "", "digits to send after the answer: 0-9 * # A-D")
	fl.BoolVar(&f.plan.Silent, "silent", false, "no media need come; without it an answered call in which none came fails")
	fl.BoolVar(&f.answer, "answer", false, "wait for a call instead of dialling")
	fl.BoolVar(&f.demo, "demo", false, "make the calls of `make demo` on a running demo and check that all is as it must be")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	fl.BoolVar(&f.debug, "debug", false, "log what the phone's SIP and media do")
	return cmd
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// choose makes sure that the flags are of one kind of phone.
func (f *callFlags) choose(cmd *cobra.Command) error {
	set := cmd.Flags().Changed
	if !f.browser {
		if set("http") {
			return errors.New("--http is a browser's: expected --browser with it, or --server")
		}
		return nil
	}
	for _, name := range []string{"server", "transport"} {
		if set(name) {
			return fmt.Errorf("--%s is a phone's: a browser goes to --http (%s)", name, f.http)
		}
	}
	if !set("codecs") {
		f.codecs = "opus,pcmu,pcma"
	}
	return nil
}

// page is the URL of --http.
func (f *callFlags) page() string {
	if strings.Contains(f.http, "://") {
		return strings.TrimSuffix(f.http, "/")
	}
	return "http://" + f.http
}

// callOnce registers, makes or takes one call, and prints how it was.
func callOnce(cmd *cobra.Command, f callFlags) error {
	out := cmd.OutOrStdout()
	sound, err := phone.ParseSound(f.play)
	if err != nil {
		return err
	}
	f.plan.Play = sound
	p, err := f.phone(cmd.Context(), out, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Register(cmd.Context()); err != nil {
		return err
	}
	do := p.Call
	if f.answer {
		do = p.Answer
	}
	r, err := do(cmd.Context(), f.plan)
	switch {
	case r.CallID == "": // it never became a call
	case f.json:
		if werr := writeJSON(out, r); werr != nil {
			return werr
		}
	case r.Answered != nil:
		if werr := heardText(out, r.Report, ""); werr != nil {
			return werr
		}
	}
	return err
}

// phone makes the phone; its story is printed as it happens.
func (f *callFlags) phone(ctx context.Context, out, logs io.Writer) (*phone.Phone, error) {
	if f.password == "" {
		pw, err := f.demoSecret()
		if err != nil {
			return nil, err
		}
		f.password = string(pw)
	}
	cfg := phone.Config{User: f.user, Password: f.password, Codecs: strings.Split(f.codecs, ",")}
	if f.browser {
		cfg.Page = f.page()
	} else {
		cfg.Server, cfg.Transport = f.server, strings.ToLower(f.transport)
	}
	if !f.json {
		cfg.Tell = func(l phone.Line) { fmt.Fprintf(out, "%7d ms  %s\n", l.MS, plain(l.Text)) }
	}
	if f.debug {
		cfg.Log = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return phone.New(ctx, cfg)
}

// demoSecret reads the password of a demo user, which `patchbay serve` makes.
func (f *callFlags) demoSecret() (Secret, error) {
	if !demoUserID(f.user) {
		return "", fmt.Errorf("user %s needs --password", f.user)
	}
	dir, err := dataFolder(f.data)
	if err != nil {
		return "", err
	}
	pw, err := readSecretFile(filepath.Join(dir, "demo", f.user+".password"))
	if err != nil {
		return "", fmt.Errorf("password of %s: %w (patchbay serve makes it; is it another --data?)", f.user, err)
	}
	return pw, nil
}
