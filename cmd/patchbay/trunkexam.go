package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/doctor"
	"github.com/patchbay/patchbay/sip"
)

// examine looks at a trunk from this process, by sockets at the addresses of the settings.
func examine(ctx context.Context, cfg Config, t Trunk, e doctor.Exam) (doctor.Report, error) {
	log := slog.New(slog.DiscardHandler)
	fc, err := cfg.front(log)
	if err != nil {
		return doctor.Report{}, err
	}
	gt, err := t.gateway(cfg)
	if err != nil {
		return doctor.Report{}, err
	}
	if t.Transport == "tls" {
		x, err := newTrunkTLS(t, log)
		if err != nil {
			return doctor.Report{}, err
		}
		gt.TLS = x.client
	}
	front, notes, err := examinationFront(fc)
	if err != nil {
		return doctor.Report{}, err
	}
	defer front.Close()
	var media gateway.MediaAddr
	if len(gt.Media) > 0 {
		media = gt.Media[0]
	} else {
		a := cfg.Media.Addresses[0]
		media = gateway.MediaAddr{Bind: a.Bind, Advertise: a.Advertise}
	}
	r, err := gateway.Examine(ctx, front, gt, cfg.SIP.UserAgent, media, e)
	r.Checks = append(notes, r.Checks...)
	return r, err
}

// examinationFront listens as the gateway would, as far as that can be: an address that is taken is left to who has it.
func examinationFront(fc sip.FrontConfig) (*sip.Front, []doctor.Check, error) {
	var notes []doctor.Check
	list := fc.Listen
	fc.Listen = nil
	for _, l := range list {
		if l.Network == "tls" {
			continue // what we ask leaves from ports of its own
		}
		fc.Listen = append(fc.Listen, l)
		front, err := sip.NewFront(fc)
		if err == nil {
			_ = front.Close()
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
		at := l.Addr
		fc.Listen[len(fc.Listen)-1].Addr = netip.AddrPortFrom(at.Addr(), 0)
		notes = append(notes, doctor.Check{Step: "sockets", Verdict: doctor.Warn, Text: fmt.Sprintf("%s %s is taken by another program: asked from another port", l.Network, at),
			Advice: "ss -lnp 'sport = :" + fmt.Sprint(at.Port()) + "' tells which; does a gateway run whose http.listen is another?"})
	}
	front, err := sip.NewFront(fc)
	return front, notes, err
}

// writeReport prints a line for each check.
func writeReport(w io.Writer, r doctor.Report) error {
	var b strings.Builder
	words := map[doctor.Verdict]string{doctor.OK: "ok", doctor.Warn: "warn", doctor.Fail: "FAIL"}
	failed, warned := 0, 0
	for _, c := range r.Checks {
		failed += btoi(c.Verdict == doctor.Fail)
		warned += btoi(c.Verdict == doctor.Warn)
		line := c.Text
		if c.Advice != "" {
			line += " → " + c.Advice
		}
		fmt.Fprintf(&b, "%-5s %-13s %s\n", words[c.Verdict], c.Step, printed(line))
	}
	verdict := "works, as far as can be told"
	if failed > 0 {
		verdict = "doesn't work: " + plural(failed, "check") + " failed"
	}
	if warned > 0 {
		verdict += ", with " + plural(warned, "warning")
	}
	fmt.Fprintf(&b, "trunk %s %s (asked by %s, %.1f s)\n", r.Trunk, verdict, r.Via, r.Took)
	_, err := io.WriteString(w, b.String())
	return err
}

// printed shows what a carrier wrote without letting it write on a terminal.
func printed(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
