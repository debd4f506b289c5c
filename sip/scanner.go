package sip

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// scans tells that a request is a scanner's, by its User-Agent, and nobody's whom we know: it isn't challenged, nor told what is wrong
// with it. Known is who has shown who it is on this connection, is registered from this address, or brings credentials for a
// challenge of ours; trunks are known by their addresses, and aren't looked at.
func (f *Front) scans(u *UA, fl *flow.Flow, m *wire.Message) bool {
	if u.users == nil || !f.scanner(m.Headers.Get("User-Agent")) {
		return false
	}
	source := fl.Remote().Addr()
	switch {
	case fl.Reliable() && fl.Welcomed(), u.cfg.Registrar != nil && u.cfg.Registrar.Knows(source):
		return false
	}
	return u.users.Glance(source, m.Method == "INVITE", m.Headers) != auth.OK
}

// scanner tells whether a User-Agent begins as one of the list does, in upper or lower case.
func (f *Front) scanner(agent string) bool {
	return slices.ContainsFunc(f.cfg.Scanners, func(p string) bool { return len(agent) >= len(p) && strings.EqualFold(agent[:len(p)], p) })
}
