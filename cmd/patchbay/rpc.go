package main

import (
	"context"
	"path/filepath"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// rpcPath is Kurento's own.
const rpcPath = "/kurento"

// serveRPC makes the space of what JSON-RPC clients create, and its server.
func (s *server) serveRPC() (err error) {
	several := s.cfg.severalTenants()
	s.rtpShare.what, s.rtpShare.several = "pairs of media ports", several
	s.webShare.what, s.webShare.several = "endpoints of browsers", several
	classes, core, phone := elementClasses(kurento.Config{
		Pipeline: media.Config{Clock: s.clock, Registry: s.registry, Log: s.log},
		Dots:     filepath.Join(s.cfg.Node.Data, "graphs"),
		Now:      udp.Now,
		RTP:      s.newRTP,
		WebRTC:   s.webEndpoints(),
		Room:     newRoom,
		Player:   s.newPlayer,
		Recorder: s.newRecorder,
		Post:     s.newPost,
		Sessions: func(ctx context.Context) []string {
			scope, _ := rpc.ScopeOf(ctx)
			return scope.Sessions()
		},
	}, telephony.Config{Gateway: s.gateway, Log: s.log, Dial: s.files.DialContext, Records: func(ctx context.Context, f billing.Filter) ([]*call.Call, error) { return s.past.find(ctx, f) },
		Reports: func(ctx context.Context, q report.Query) (*report.Report, error) { return s.reports.make(ctx, q, nil) }})
	s.telephony = phone
	c := s.cfg.RPC
	// What one tenant may make is its tokens' affair.
	if s.space, err = core.Open(classes, rpc.Config{Log: s.log, MaxObjects: c.Objects, MaxPerTenant: c.Objects}); err != nil {
		return err
	}
	if err := phone.Open(s.space); err != nil {
		return err
	}
	s.rpc = s.space.Serve(rpc.ServerConfig{Log: s.log, Authenticate: principal, MaxMessage: int(c.MaxMessage), MaxQueued: int(c.MaxQueued),
		MaxConnections: c.Connections, MaxSessions: c.Sessions, Keep: c.Keep})
	return nil
}
