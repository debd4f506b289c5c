package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/cmd/patchbay/carrier"
	"github.com/patchbay/patchbay/cmd/patchbay/leg"
)

// carrierSocket is where a running demo carrier takes commands.
func carrierSocket(dir string) string { return filepath.Join(dir, "demo", "carrier.sock") }

// dataFolder is the folder that was asked for, or the default one.
func dataFolder(dir string) (string, error) {
	if dir == "" {
		return dataDir(), nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data folder %q: %w", dir, err)
	}
	return abs, nil
}

func newCarrierCommand() *cobra.Command {
	var (
		listen, dir, record string
		accounts            []string
	)
	cmd := &cobra.Command{
		Use:   "carrier",
		Short: "Run the demo carrier",
		Long: `Run the demo carrier, a SIP carrier to try things with: it registers accounts and takes calls only from them.

  9000  speech, then echo            9004  an announcement before the answer, then echo
  9001  1004 Hz at 0 dBm0            9005  reads your digits back to you
  9002  busy (486)                   9006  hangs up after 3 seconds
  9003  no answer                    9503  out of order (503)

Every other number is unknown (404). It hangs up after 60 seconds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := carrierConfig(listen, dir, record, accounts)
			if err != nil {
				return err
			}
			if cfg.Log, err = newLog(Log{Level: "info", Format: "text"}, cmd.ErrOrStderr()); err != nil {
				return err
			}
			c, err := carrier.New(cfg)
			if err != nil {
				return err
			}
			return c.Run(cmd.Context())
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "data", "", "data folder, where the demo's password is and where commands are taken; the default one if empty")
	cmd.Flags().StringVar(&listen, "listen", demoCarrier, "address for SIP over UDP and TCP, and for RTP")
	cmd.Flags().StringArrayVar(&accounts, "account", nil, "a further account, as user:password; may be given several times")
	cmd.Flags().StringVar(&record, "record", "", "folder for a recording of every call (WAV)")
	cmd.AddCommand(newCarrierCallCommand(&dir), newCarrierCallsCommand(&dir))
	return cmd
}

// carrierConfig reads the flags. The account of the demo is always there; its password comes from the data folder unless it is
// given.
func carrierConfig(listen, dir, record string, accounts []string) (carrier.Config, error) {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return carrier.Config{}, fmt.Errorf("--listen %q: expected an address and a port, such as %s", listen, demoCarrier)
	}
	cfg := carrier.Config{Listen: at, Record: record}
	for _, a := range accounts {
		user, password, _ := strings.Cut(a, ":")
		if user == "" || password == "" {
			return cfg, fmt.Errorf("--account %s:…: expected user:password", user)
		}
		if slices.ContainsFunc(cfg.Accounts, func(o carrier.Account) bool { return o.User == user }) {
			return cfg, fmt.Errorf("--account %s:…: stands there twice", user)
		}
		cfg.Accounts = append(cfg.Accounts, carrier.Account{User: user, Password: password})
	}
	if dir, err = dataFolder(dir); err != nil {
		return cfg, err
	}
	password, err := demoPassword(dir, demoUser) // makes the folder, too
	if err != nil {
		return cfg, err
	}
	if !slices.ContainsFunc(cfg.Accounts, func(o carrier.Account) bool { return o.User == demoUser }) {
		cfg.Accounts = append(cfg.Accounts, carrier.Account{User: demoUser, Password: string(password)})
	}
	cfg.Control = carrierSocket(dir)
	if record != "" {
		st, err := os.Stat(record)
		if err != nil {
			return cfg, fmt.Errorf("--record: %w", err)
		}
		if !st.IsDir() {
			return cfg, fmt.Errorf("--record %s: expected a folder", record)
		}
	}
	return cfg, nil
}

func newCarrierCallCommand(dir *string) *cobra.Command {
	var (
		o      carrier.Order
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "call NUMBER",
		Short: "Have the running demo carrier call an account",
		Long:  "Have the running demo carrier call an account's contact, with NUMBER as the number dialled. It plays its greeting, then echo.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := dataFolder(*dir)
			if err != nil {
				return err
			}
			o.Number = args[0]
			out := cmd.OutOrStdout()
			began := time.Now()
			call, err := carrier.Connect(carrierSocket(folder)).Call(cmd.Context(), o, func(t carrier.Told) {
				if !asJSON {
					fmt.Fprintf(out, "%7d ms  %s\n", t.At.Sub(began).Milliseconds(), plain(t.Event))
				}
			})
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				err = writeJSON(out, call)
			case call.Answered != nil:
				err = heardText(out, call.Report, "")
			}
			if err == nil && call.Answered == nil {
				err = fmt.Errorf("not answered: %s", notAnswered(call.Report))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.From, "from", "+49301234567", "the caller's number")
	cmd.Flags().StringVar(&o.Account, "account", demoUser, "account whose contact is called")
	cmd.Flags().DurationVar(&o.Ring, "ring", time.Minute, "how long it may ring")
	cmd.Flags().DurationVar(&o.Talk, "duration", 0, "the carrier hangs up after so long; 0 = 60s")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// notAnswered says how a call ended that wasn't answered.
func notAnswered(r leg.Report) string {
	s := "ended by " + r.EndedBy
	if r.Status != 0 {
		s = fmt.Sprintf("%d %s", r.Status, r.Phrase)
	}
	if r.Reason != "" {
		s += ", " + r.Reason
	}
	return plain(s)
}

func newCarrierCallsCommand(dir *string) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "List the calls of the running demo carrier and what it hears in them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := dataFolder(*dir)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			calls, err := carrier.Connect(carrierSocket(folder)).Calls(ctx, all)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), calls)
			}
			return listCarrierCalls(cmd.OutOrStdout(), calls)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "also the last 50 calls that have ended")
	return cmd
}

func listCarrierCalls(w io.Writer, calls []carrier.Call) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CALL\tWAY\tACCOUNT\tFROM\tNUMBER\tSTATE\tCODEC\tHEARS\tSTRONGEST\tDIGITS")
	for _, c := range calls {
		strongest := "-"
		if c.Heard.Strongest.Hz > 0 {
			strongest = fmt.Sprintf("%.0f Hz at %.1f dBm0", c.Heard.Strongest.Hz, c.Heard.Strongest.Level)
		}
		row := []string{fmt.Sprint(c.ID), c.Direction, c.Account, c.From, c.Number, c.State, c.Codec, fmt.Sprintf("%.1f dBm0", c.Heard.Level),
			strongest, c.Digits}
		for i := range row {
			if row[i] = plain(row[i]); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// heardText prints what one side of a call measured. who stands before it; it may be empty.
func heardText(w io.Writer, r leg.Report, who string) error {
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, "%12s  %s\n", who, plain(fmt.Sprintf(format, args...)))
		errs, who = append(errs, err), ""
	}
	h := r.Heard
	if h.Seconds == 0 {
		say("heard nothing")
	} else {
		say("heard %.1f s at %.1f dBm0; in the last second %.1f Hz at %.2f dBm0", h.Seconds, h.Level, h.Strongest.Hz, h.Strongest.Level)
		first := ""
		if h.FirstAudio != nil && *h.FirstAudio >= 0 {
			first = fmt.Sprintf("first audio %d ms after the answer; ", *h.FirstAudio)
		} else if h.FirstAudio != nil {
			first = fmt.Sprintf("first audio %d ms before the answer; ", -*h.FirstAudio)
		}
		say("%s%d packets in, %d lost, jitter %.1f ms, longest pause %.1f ms, %d pauses over 60 ms", first, h.Packets, h.Lost, h.Jitter,
			h.Longest, h.Pauses)
	}
	cipher := ""
	if r.Cipher != "" {
		cipher = ", DTLS-SRTP with " + r.Cipher
	}
	say("%d packets out, %s%s", r.Sent, r.Codec, cipher)
	if r.Digits != "" {
		say("DTMF heard: %s", r.Digits)
	}
	return errors.Join(errs...)
}
