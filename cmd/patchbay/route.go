package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/sip"
)

// newRouteCommand tries a call without calling.
func newRouteCommand() *cobra.Command {
	var (
		r            gateway.TrialRequest
		config, data string
		headers      []string
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "route NUMBER",
		Short: "Where a call would go: each hop with the numbers, the caller and the header fields that it would have; nobody is called",
		Long: `Print where a call would go by the settings: how its numbers are understood, which route takes it, and for each hop what its INVITE
would say. Nobody is called, and a running gateway isn't asked: whether a trunk is up or full isn't seen.

NUMBER is what the caller dials, or a tel or sip URI. The exit code is 1 if the call would be refused.`,
		Example: `  patchbay route 0301234567 --from anna --config /etc/patchbay.yaml
  patchbay route 0301234567 --from anna --header "Privacy: id" --config /etc/patchbay.yaml
  patchbay route +4930123400 --trunk telco --caller +4989555 --config /etc/patchbay.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Number = args[0]
			if n := len(slices.DeleteFunc([]string{r.User, r.Trunk, r.App}, func(s string) bool { return s == "" })); n != 1 {
				return fmt.Errorf("expected one of --from, --trunk and --app: who calls")
			}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, ":")
				if !ok {
					return fmt.Errorf("--header %q: expected NAME: VALUE", h)
				}
				r.Headers = append(r.Headers, sip.Header{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
			}
			gc, err := gatewaySettings(config, data)
			if err != nil {
				return err
			}
			t, err := gateway.Try(cmd.Context(), gc, r)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), t)
			} else {
				err = trialText(cmd.OutOrStdout(), t)
			}
			if err == nil && t.Refused != "" {
				err = errReported
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&config, "config", "", "settings file; the demo's settings if empty")
	fl.StringVar(&data, "data", "", "data folder, of the demo")
	fl.StringVar(&r.User, "from", "", "id of the user who calls")
	fl.StringVar(&r.Trunk, "trunk", "", "or of the trunk that the call comes from")
	fl.StringVar(&r.App, "app", "", "or of the application that makes it")
	fl.StringVar(&r.Caller, "caller", "", "with --trunk: who calls, a number or URI in From; anonymous if empty")
	fl.StringArrayVar(&headers, "header", nil, `a header field of the INVITE, such as "P-Asserted-Identity: <tel:+4930555>"; may be given several times`)
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// gatewaySettings are what the gateway is made of, without sockets.
func gatewaySettings(config, data string) (gateway.Config, error) {
	c, err := loadConfig(config, data)
	if err != nil {
		return gateway.Config{}, err
	}
	return c.gateway(slog.New(slog.DiscardHandler))
}

func trialText(w io.Writer, t gateway.Trial) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", what, plain(fmt.Sprintf(format, args...)))
	}
	caller := as(t.From, t.FromNumber) + ", by " + t.FromBy
	if t.Private {
		caller += ", private"
	}
	line("caller", "%s", caller)
	line("called", "%s", as(t.To, t.ToNumber))
	if t.Refused != "" {
		line("refused", "%s", t.Refused)
	} else {
		line("route", "%s", t.Why)
	}
	for i, h := range t.Hops {
		ring := ""
		if h.Ring > 0 {
			ring = ", rings " + short(h.Ring)
		}
		line(fmt.Sprintf("hop %d", i+1), "%s%s", h.Hop, ring)
		if h.Problem != "" {
			line("", "can't be: %s", h.Problem)
			continue
		}
		for _, x := range [...][2]string{{"INVITE ", h.Request}, {"From: ", h.From}, {"To: ", h.To}, {"Contact: user ", h.Contact}} {
			if x[1] != "" {
				line("", "%s%s", x[0], x[1])
			}
		}
		for _, x := range h.Headers {
			line("", "%s", x)
		}
		if len(h.Codecs) > 0 {
			line("", "codecs %s", strings.Join(h.Codecs, ", "))
		}
		if h.Next != "" {
			line("", "forwarded %s", h.Next)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// as is a number as it came, and as it is understood if that is another.
func as(raw, number string) string {
	if number == "" || number == raw {
		return raw
	}
	return raw + ", understood as " + number
}

// newNumberCommand tries a trunk's rules for numbers.
func newNumberCommand() *cobra.Command {
	var (
		config, data   string
		caller, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "number TRUNK in|out NUMBER",
		Short: "What a trunk's rules make of a number that comes from the carrier (in) or goes to it (out)",
		Example: `  patchbay number telco in 0301234567 --config /etc/patchbay.yaml
  patchbay number telco out +49301234567 --caller --config /etc/patchbay.yaml`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] != "in" && args[1] != "out" {
				return fmt.Errorf("%q: expected in or out", args[1])
			}
			gc, err := gatewaySettings(config, data)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(gc.Trunks, func(t gateway.Trunk) bool { return t.ID == args[0] })
			if i < 0 {
				var ids []string
				for _, t := range gc.Trunks {
					ids = append(ids, t.ID)
				}
				return fmt.Errorf("there is no trunk %q, expected %s%s", args[0], oneOf(ids), meant(args[0], ids))
			}
			n, err := gateway.TryNumber(gc.Trunks[i], args[1] == "out", caller, args[2])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), n)
			}
			side := "called"
			if caller {
				side = "caller"
			}
			rule := "no rule of " + args[1] + "." + side + " fits"
			if n.Rule >= 0 {
				rule = fmt.Sprintf("rule %s.%s[%d]", args[1], side, n.Rule)
			}
			number := n.Number
			if n.URI != "" {
				number += " as " + n.URI
			}
			if n.E164 == "" {
				rule += "; it isn't understood as an international number"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s (%s)\n", plain(number), rule)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&config, "config", "", "settings file; the demo's settings if empty")
	fl.StringVar(&data, "data", "", "data folder, of the demo")
	fl.BoolVar(&caller, "caller", false, "it is the caller's number, not the called one")
	fl.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
