package billing

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

// column of a table: its name and the value that a record gives it.
type column[T any] struct {
	name  string
	value func(T) any
}

type legOf struct {
	c *call.Call
	l *call.Leg
}

// text is null when empty.
func text[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return clean(string(s))
}

func number(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

func addr(a netip.AddrPort) any {
	if !a.IsValid() {
		return nil
	}
	return a.Addr().WithZone("").Unmap()
}

func port(a netip.AddrPort) any {
	if !a.IsValid() {
		return nil
	}
	return int(a.Port())
}

func at(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

// flag is null of a call that was never answered: nobody could know.
func flag(c *call.Call, v bool) any {
	if c.AnsweredAt == nil {
		return nil
	}
	return v
}

func callColumns() []column[*call.Call] {
	type c = *call.Call
	return []column[c]{
		{"call_id", func(c c) any { return uuid.UUID(c.ID) }},
		{"started_at", func(c c) any { return c.ID.Started() }},
		{"version", func(c c) any { return c.Version }},
		{"state", func(c c) any { return string(c.State) }},
		{"tenant", func(c c) any { return clean(c.Tenant) }},
		{"linked_id", func(c c) any { return uuid.UUID(c.LinkedID) }},
		{"node_id", func(c c) any { return clean(c.Node) }},
		{"epoch", func(c c) any { return c.Epoch }},
		{"origin", func(c c) any { return clean(c.Origin) }},
		{"session_id", func(c c) any { return text(c.SessionID) }},
		{"direction", func(c c) any { return string(c.Direction) }},
		{"user_id", func(c c) any { return text(c.User) }},
		{"trunk_id", func(c c) any { return text(c.Trunk) }},
		{"route_id", func(c c) any { return text(c.Route) }},
		{"a_raw", func(c c) any { return clean(c.From) }},
		{"b_raw", func(c c) any { return clean(c.To) }},
		{"a_e164", func(c c) any { return text(c.FromN) }},
		{"b_e164", func(c c) any { return text(c.ToN) }},
		{"icid", func(c c) any { return text(c.ICID) }},
		{"setup_at", func(c c) any { return c.SetupAt }},
		{"progress_at", func(c c) any { return at(c.ProgressAt) }},
		{"early_media_at", func(c c) any { return at(c.EarlyMediaAt) }},
		{"answered_at", func(c c) any { return at(c.AnsweredAt) }},
		{"ended_at", func(c c) any { return at(c.EndedAt) }},
		{"pdd_ms", func(c c) any { return c.PDD }},
		{"ring_ms", func(c c) any { return c.Ring }},
		{"duration_ms", func(c c) any { return c.Duration }},
		{"bill_ms", func(c c) any { return c.Bill }},
		{"end_party", func(c c) any { return text(c.EndedBy) }},
		{"sip_code", func(c c) any { return number(c.Cause.SIP) }},
		{"q850", func(c c) any { return number(c.Cause.Q850) }},
		{"reason_text", func(c c) any { return text(c.Cause.Text) }},
		{"reason_raw", func(c c) any { return text(c.Cause.Raw) }},
		{"incomplete", func(c c) any { return c.Incomplete }},
		{"attempts", func(c c) any { return c.Attempts }},
		{"transcoded", func(c c) any { return c.Transcoded }},
		{"app_id", func(c c) any { return text(c.App) }},
		{"account", func(c c) any { return text(c.Payer) }},
		{"partial_no", func(c c) any { return number(c.PartialNo) }},
		{"mos_min", func(c c) any { return c.MOSMin }},
		{"mos_avg", func(c c) any { return c.MOSAvg }},
		{"one_way", func(c c) any { return flag(c, c.OneWay) }},
		{"fas_suspect", func(c c) any { return flag(c, c.FASSuspect) }},
	}
}

func legColumns() []column[legOf] {
	type l = legOf
	return []column[l]{
		{"call_id", func(v l) any { return uuid.UUID(v.c.ID) }},
		{"leg_no", func(v l) any { return v.l.No }},
		{"started_at", func(v l) any { return v.c.ID.Started() }},
		{"version", func(v l) any { return v.c.Version }},
		{"attempt", func(v l) any { return v.l.Attempt }},
		{"role", func(v l) any { return string(v.l.Role) }},
		{"kind", func(v l) any { return v.l.Kind }},
		{"direction", func(v l) any { return string(v.l.Direction) }},
		{"user_id", func(v l) any { return text(v.l.User) }},
		{"trunk_id", func(v l) any { return text(v.l.Trunk) }},
		{"transport", func(v l) any { return text(v.l.Transport) }},
		{"sip_call_id", func(v l) any { return text(v.l.SIPCallID) }},
		{"local_tag", func(v l) any { return text(v.l.LocalTag) }},
		{"remote_tag", func(v l) any { return text(v.l.RemoteTag) }},
		{"from_uri", func(v l) any { return text(v.l.FromURI) }},
		{"to_uri", func(v l) any { return text(v.l.ToURI) }},
		{"ruri", func(v l) any { return text(v.l.RequestURI) }},
		{"contact", func(v l) any { return text(v.l.Contact) }},
		{"pai", func(v l) any { return text(v.l.PAI) }},
		{"diversion", func(v l) any { return text(v.l.Diversion) }},
		{"user_agent", func(v l) any { return text(v.l.UserAgent) }},
		{"remote_sig", func(v l) any { return addr(v.l.Signalling) }},
		{"remote_sig_port", func(v l) any { return port(v.l.Signalling) }},
		{"local_media", func(v l) any { return addr(v.l.Media.Local) }},
		{"local_media_port", func(v l) any { return port(v.l.Media.Local) }},
		{"remote_media", func(v l) any { return addr(v.l.Media.Remote) }},
		{"remote_media_port", func(v l) any { return port(v.l.Media.Remote) }},
		{"srtp", func(v l) any { return text(v.l.Media.SRTP) }},
		{"codec_rx", func(v l) any { return text(v.l.Media.Codec) }},
		{"codec_tx", func(v l) any { return text(v.l.Media.Codec) }},
		{"ptime_ms", func(v l) any { return number(v.l.Media.Ptime) }},
		{"dtmf_mode", func(v l) any { return text(v.l.Media.DTMF) }},
		{"media_direction", func(v l) any { return text(v.l.Media.Direction) }},
		{"transcoded", func(v l) any { return v.l.Media.Transcoded }},
		{"early_media", func(v l) any { return v.l.EarlyMedia }},
		{"invite_at", func(v l) any { return v.l.InviteAt }},
		{"progress_at", func(v l) any { return at(v.l.ProgressAt) }},
		{"answered_at", func(v l) any { return at(v.l.AnsweredAt) }},
		{"ended_at", func(v l) any { return at(v.l.EndedAt) }},
		{"pdd_ms", func(v l) any { return v.l.PDD }},
		{"sip_code", func(v l) any { return number(v.l.Cause.SIP) }},
		{"q850", func(v l) any { return number(v.l.Cause.Q850) }},
		{"reason", func(v l) any { return text(v.l.Cause.Text) }},
		{"reason_raw", func(v l) any { return text(v.l.Cause.Raw) }},
		{"hung_up", func(v l) any { return v.l.HungUp }},
		{"quality", func(v l) any { return v.l.Quality }},
	}
}

// upsert writes a row unless a later version of it is there.
func upsert[T any](table string, columns []column[T], key ...string) string {
	var names, marks, sets []string
	isKey := make(map[string]bool)
	for _, k := range key {
		isKey[k] = true
	}
	for i, c := range columns {
		names = append(names, c.name)
		marks = append(marks, fmt.Sprintf("$%d", i+1))
		if !isKey[c.name] {
			sets = append(sets, c.name+" = excluded."+c.name)
		}
	}
	return fmt.Sprintf("INSERT INTO patchbay.%s AS t (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s WHERE excluded.version > t.version",
		table, strings.Join(names, ", "), strings.Join(marks, ", "), strings.Join(key, ", "), strings.Join(sets, ", "))
}

func values[T any](columns []column[T], v T) []any {
	out := make([]any, len(columns))
	for i, c := range columns {
		out[i] = c.value(v)
	}
	return out
}
