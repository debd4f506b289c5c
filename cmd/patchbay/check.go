package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Report is what `check` finds.
type Report struct {
	File     string      `json:"file"`
	OK       bool        `json:"ok"` // no mistakes; there may be warnings
	Mistakes Mistakes    `json:"mistakes"`
	Warnings Mistakes    `json:"warnings"`
	Host     []HostDoubt `json:"host"` // what on this host keeps the settings from doing what they say
	Users    int         `json:"users"`
	Trunks   int         `json:"trunks"`
	Routes   int         `json:"routes"`
}

func newCheckCommand() *cobra.Command {
	var asJSON, noHost bool
	cmd := &cobra.Command{
		Use:   "check CONFIG",
		Short: "Check a settings file: every mistake and every doubt, each with its line, and what this host lacks for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h := thisHost()
			if noHost {
				h.look = nil
			}
			r, err := check(args[0], os.LookupEnv, h)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				err = e.Encode(r)
			} else {
				_, err = fmt.Fprint(cmd.OutOrStdout(), r)
			}
			if err == nil && !r.OK {
				err = errReported
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&noHost, "no-host", false, "the settings are another host's: don't look at this one")
	return cmd
}

// check reads a settings file and judges it, also as a whole and on this host.
func check(path string, env func(string) (string, bool), h checkHost) (Report, error) {
	c, d, err := readConfig(path, env)
	if err != nil {
		return Report{}, err
	}
	r := Report{File: path, Users: len(c.Users), Trunks: len(c.Trunks), Routes: len(c.Routes), Mistakes: Mistakes{}, Warnings: Mistakes{}, Host: []HostDoubt{}}
	if m := d.wrong(); len(m) > 0 {
		r.Mistakes = m
	} else {
		r.OK = true
		d.doubts(&c, h)
		if h.look != nil {
			c.complete()
			r.Host = h.look(&c)
		}
	}
	for _, m := range d.mistakes {
		if m.Warning {
			r.Warnings = append(r.Warnings, m)
		}
	}
	sorted(r.Warnings)
	return r, nil
}

func (r Report) String() string {
	s := ""
	for _, list := range [...]Mistakes{r.Mistakes, r.Warnings} {
		for _, m := range list {
			s += m.String() + "\n"
		}
	}
	verdict := "is good"
	switch {
	case !r.OK:
		verdict = "can't be used: " + plural(len(r.Mistakes), "mistake")
	case len(r.Warnings) > 0:
		verdict = "can be used, with " + plural(len(r.Warnings), "warning")
	}
	s += fmt.Sprintf("%s %s", r.File, verdict)
	if r.OK {
		s += fmt.Sprintf(" (%s, %s, %s)", plural(r.Users, "user"), plural(r.Trunks, "trunk"), plural(r.Routes, "route"))
	}
	s += "\n"
	for _, h := range r.Host {
		s += h.String() + "\n"
	}
	return s
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
