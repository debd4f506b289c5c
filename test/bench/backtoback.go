//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// ringFor is how long a call may ring.
const ringFor = time.Minute

// serveSignalling passes the calls of one peer on to another by package sip alone: both dialogs, their transactions and timers, no
// media ports, no records, and SDP as bytes. Other programs start it.
func serveSignalling(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench signalling", flag.ContinueOnError)
	dir := f.String("dir", "", "folder for the log")
	file := f.String("profile", "", "file for a CPU profile")
	if err := f.Parse(args); err != nil {
		return err
	}
	calm()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(*dir, "log"))
	if err != nil {
		return err
	}
	defer out.Close()
	log := slog.New(slog.NewTextHandler(out, nil))
	front, err := sip.NewFront(sip.FrontConfig{Log: log, Listen: []sip.Listen{{Network: "udp", Addr: netip.AddrPortFrom(ours, 5060)}},
		Limits: sip.Limits{Transactions: 1 << 18, Dialogs: 1 << 17}})
	if err != nil {
		return err
	}
	defer front.Close()
	b := &backToBack{ctx: ctx, log: log, callee: netip.AddrPortFrom(theirs, 5070)}
	from := func(a netip.Addr) func(sip.Inbound) bool {
		return func(in sip.Inbound) bool { return in.Source.Addr() == a }
	}
	off := sip.SessionTimer{Interval: -1}
	if b.out, err = front.NewUA(sip.Config{Name: "out", Match: from(theirs), Session: off}); err != nil {
		return err
	}
	if _, err = front.NewUA(sip.Config{Name: "in", Match: from(callers), Session: off, Invite: b.serve}); err != nil {
		return err
	}
	return profiled(*file, func() error {
		<-ctx.Done()
		return nil
	})
}

// backToBack joins each call that comes with one that it makes.
type backToBack struct {
	ctx    context.Context
	log    *slog.Logger
	out    *sip.UA
	callee netip.AddrPort
}

// serve sees one call through, on the goroutine that the INVITE has anyhow.
func (b *backToBack) serve(in *sip.Dialog) {
	if err := b.join(in); err != nil {
		b.log.Warn("call failed", "dialog", in.CallID(), "err", err)
	}
}

func (b *backToBack) join(in *sip.Dialog) error {
	r := in.Request()
	target := r.URI
	target.Host, target.Port = b.callee.Addr().String(), b.callee.Port()
	from := r.From
	from.URI.Host, from.URI.Port = ours.String(), 0
	out, err := b.out.Dial(b.ctx, sip.Invite{Target: target, From: from, Body: r.Body, ContentType: r.ContentType, Timeout: ringFor,
		Destination: sip.Destination{Network: "udp", Addr: b.callee}})
	if err != nil {
		return errors.Join(err, in.Reject(503, ""))
	}
	fromCaller, fromCallee := in.Events(), out.Events()
	for {
		select {
		case e, ok := <-fromCaller:
			if !ok || e.Kind == sip.KindEnded {
				return b.hangup(out, fromCallee)
			}
		case e, ok := <-fromCallee:
			switch {
			case !ok || e.Kind == sip.KindEnded && e.Status < 300:
				return b.hangup(in, fromCaller)
			case e.Kind == sip.KindEnded:
				err = in.Reject(e.Status, e.Phrase)
			case e.Kind == sip.KindProgress:
				err = in.Progress(e.Status, e.Phrase, e.Body)
			case e.Kind == sip.KindAnswered:
				err = in.Answer(e.Body)
			}
			if err != nil && !errors.Is(err, sip.ErrEnded) {
				return errors.Join(err, b.hangup(in, fromCaller), b.hangup(out, fromCallee))
			}
		}
	}
}

// hangup ends the other side, and reads what it still tells.
func (b *backToBack) hangup(d *sip.Dialog, events <-chan *sip.Event) error {
	if err := d.Hangup(b.ctx, sip.Reason{}, 0); err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	for range events {
	}
	return nil
}
