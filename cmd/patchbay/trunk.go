package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/doctor"
)

// trunkFlags are what the commands about trunks are asked for.
type trunkFlags struct {
	config, data, token string
	json, direct        bool
	exam                doctor.Exam
}

func (f *trunkFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "settings file of the gateway; the demo's settings if empty")
	fl.StringVar(&f.data, "data", "", "data folder; node.data of the settings if empty")
	fl.StringVar(&f.token, "token", os.Getenv("PATCHBAY_TOKEN"), "token with the role admin, for a gateway whose http.listen isn't loopback; $PATCHBAY_TOKEN if empty")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	// A token of the environment must not stand in the help.
	fl.Lookup("token").DefValue = ""
}

func newTrunkCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "trunk", Short: "Look at trunks, and find out why one doesn't work", Args: cobra.NoArgs}
	cmd.AddCommand(newTrunkListCommand(), newTrunkTestCommand())
	return cmd
}

func newTrunkTestCommand() *cobra.Command {
	var f trunkFlags
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Examine a trunk: DNS, TLS, OPTIONS, digest, codecs, extensions, clock",
		Long: `Examine a trunk step by step, one line each: ok, warn or FAIL, what is wrong and what to do. The exit code is 1 if anything
failed. Nothing is changed at the carrier, and nobody is called, unless --call says so.

If the gateway of the settings runs, it examines its trunk itself, from the sockets that calls leave from. Otherwise this command
does, from the same addresses.`,
		Example: `  patchbay trunk test telco --config /etc/patchbay/patchbay.yaml
  patchbay trunk test telco --config patchbay.yaml --call +4930123456 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.test(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if f.json {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = writeReport(cmd.OutOrStdout(), r)
			}
			if err == nil && !r.OK {
				err = errReported
			}
			return err
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&f.direct, "direct", false, "examine from this command even if the gateway runs")
	fl.StringVar(&f.exam.Call, "call", "", "also dial this number, and take the call back when it rings; it may cost money")
	fl.DurationVar(&f.exam.Timeout, "timeout", 15*time.Second, "how long it may take, 2s to 25s")
	return cmd
}

func newTrunkListCommand() *cobra.Command {
	var f trunkFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the trunks, and how they are if the gateway runs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := f.list(cmd.Context())
			if err != nil {
				return err
			}
			if f.json {
				return writeJSON(cmd.OutOrStdout(), rows)
			}
			return writeTrunks(cmd.OutOrStdout(), rows)
		},
	}
	f.flags(cmd)
	return cmd
}

// trunkRow is one line of the list.
type trunkRow struct {
	ID      string `json:"id"`
	Mode    string `json:"mode"`
	Server  string `json:"server"` // network and proxy
	Up      bool   `json:"up"`
	State   string `json:"state"` // as the gateway says; "not running"
	Calls   int    `json:"calls"`
	Problem string `json:"error,omitempty"`
}

func (f *trunkFlags) list(ctx context.Context) ([]trunkRow, error) {
	cfg, err := loadConfig(f.config, f.data)
	if err != nil {
		return nil, err
	}
	var live []gateway.TrunkStatus
	running, err := f.ask(ctx, cfg, http.MethodGet, "/api/v1/trunks", nil, 5*time.Second, &live)
	if err != nil {
		return nil, err
	}
	rows := []trunkRow{}
	for _, t := range cfg.Trunks {
		r := trunkRow{ID: t.ID, Mode: t.Mode, Server: t.Transport + " " + t.Proxy, State: "not running"}
		if running {
			r.State = "unknown to the running gateway"
		}
		for _, s := range live {
			if s.ID == t.ID {
				r.Up, r.State, r.Calls, r.Problem = s.Up, s.State, s.Calls, s.Error
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func writeTrunks(w io.Writer, rows []trunkRow) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TRUNK\tMODE\tSERVER\tUP\tSTATE\tCALLS\tERROR")
	for _, r := range rows {
		up := "no"
		if r.Up {
			up = "yes"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.Mode, r.Server, up, r.State, r.Calls, r.Problem)
	}
	return tw.Flush()
}

// test has the running gateway examine a trunk, or does it.
func (f *trunkFlags) test(ctx context.Context, id string) (doctor.Report, error) {
	if err := f.exam.Check(); err != nil {
		return doctor.Report{}, fmt.Errorf("--%w", err)
	}
	cfg, err := loadConfig(f.config, f.data)
	if err != nil {
		return doctor.Report{}, err
	}
	t, err := cfg.trunk(id)
	if err != nil {
		return doctor.Report{}, err
	}
	if !f.direct {
		var r doctor.Report
		body := map[string]string{"timeout": f.exam.Timeout.String(), "call": f.exam.Call}
		running, err := f.ask(ctx, cfg, http.MethodPost, "/api/v1/trunks/"+url.PathEscape(id)+"/test", body, f.exam.Timeout+4*time.Second, &r)
		if running || err != nil {
			return r, err
		}
	}
	return examine(ctx, cfg, t, f.exam)
}

func (c Config) trunk(id string) (Trunk, error) {
	var names []string
	for _, t := range c.Trunks {
		if t.ID == id {
			return t, nil
		}
		names = append(names, t.ID)
	}
	if len(names) == 0 {
		return Trunk{}, fmt.Errorf("trunk %q: the settings have no trunks", clean(id))
	}
	return Trunk{}, fmt.Errorf("trunk %q: expected one of %s", clean(id), oneOf(names))
}

// ask asks the running gateway of the settings. running is false if nobody listens where it would.
func (f *trunkFlags) ask(ctx context.Context, cfg Config, method, path string, body any, limit time.Duration, into any) (running bool, err error) {
	at := cfg.HTTP.Listen
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
		if cfg.HTTP.Listen.Addr().Is6() {
			at = netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+at.String()+path, bytes.NewReader(b))
	if err != nil {
		return false, err
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the gateway at %s: %w", at, err)
	}
	defer resp.Body.Close()
	if err := answerOf(resp, into); err != nil {
		hint := ""
		if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized {
			hint = "; expected --token with a token of the settings that has the role admin"
		}
		return true, fmt.Errorf("the gateway at %s: %w%s", at, err, hint)
	}
	return true, nil
}

// answerOf reads what the gateway said.
func answerOf(resp *http.Response, into any) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error string }
		if json.Unmarshal(b, &e) != nil || e.Error == "" {
			e.Error = resp.Status
		}
		return errors.New(e.Error)
	}
	return json.NewDecoder(bytes.NewReader(b)).Decode(into)
}
