package gateway

import (
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// source is who a call comes from: a user, a trunk, or an application, which may speak for a user.
type source struct {
	user  *User
	trunk *trunk
	app   *appSource
	own   string // the name that the caller's From gives

	// What its INVITE says; see hear.
	who      identity
	carried  []sip.Header // what may go on to the other side
	diverted []diverted
	hops     int      // Max-Forwards that is left
	marks    []string // of gateways that it has passed

	// urgent: it calls for help. No limit holds.
	urgent bool
	help   string // the number that is dialled for it

	transfers bool // it has the call that it transfers, which doesn't count against the other
}

// appSource is an application that makes a call.
type appSource struct {
	App        // as configured; of one that has no name, what holds for all
	name       string
	session    string
	callerID   string
	callerName string
}

// inboundSource is a caller's source by SIP.
func inboundSource(d *sip.Dialog, u *User, t *trunk) source {
	return source{user: u, trunk: t, own: clip(d.Request().From.Display)}
}

// key names what the call counts against.
func (s source) key() string {
	switch {
	case s.user != nil:
		return "user:" + s.user.ID
	case s.trunk != nil:
		return "trunk:" + s.trunk.ID
	}
	return "app:" + s.app.ID
}

func (s source) max() int {
	switch {
	case s.transfers:
		s.transfers = false
		return s.max() + 1
	case s.user != nil:
		return s.user.MaxCalls
	case s.trunk != nil:
		return s.trunk.MaxCalls
	}
	return s.app.MaxCalls
}

// bounds are those of the calls that the source makes.
func (s source) bounds() Bounds {
	switch {
	case s.user != nil:
		return Bounds{Rate: s.user.Rate}
	case s.trunk != nil:
		return s.trunk.In
	}
	return Bounds{}
}

// duration is the longest that a call of the source's may last; 0 = no bound of its own.
func (s source) duration() time.Duration {
	switch {
	case s.user != nil:
		return s.user.Duration
	case s.trunk != nil:
		return s.trunk.Duration
	}
	return 0
}

func (s source) tenant() string {
	switch {
	case s.app != nil:
		return s.app.Tenant
	case s.user != nil:
		return s.user.Tenant
	}
	return s.trunk.Tenant
}

func (s source) codecs() []string {
	if s.user != nil {
		return s.user.Codecs
	}
	return s.trunk.Codecs
}

func (s source) dtmf() string {
	if s.user != nil {
		return s.user.DTMF
	}
	return s.trunk.DTMF
}

func (s source) srtp() media.SRTP {
	switch {
	case s.user != nil:
		return s.user.SRTP
	case s.trunk != nil:
		return s.trunk.SRTP
	}
	return media.SRTPNever
}

// callerName is what callees see beside the number; "" = nothing.
func (s source) callerName() string {
	switch {
	case s.app != nil:
		return s.app.callerName
	case s.user != nil:
		return s.user.CallerName
	}
	return ""
}
