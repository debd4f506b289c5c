package billing

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

// column of a table: its name, the kind of its values, which the table may keep in less, and the value that a record gives it.
type column[T any] struct {
	name  string
	kind  string
	value func(T) any
}

type legOf struct {
	c   *call.Call
	l   *call.Leg
	lsn uint64 // of the last event that changed it
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

// talked is null of a leg that was never answered.
func talked(l *call.Leg, ms int64) any {
	if l.AnsweredAt == nil {
		return nil
	}
	return ms
}

func callColumns() []column[*call.Call] {
	type c = *call.Call
	return []column[c]{
		{"call_id", "uuid", func(c c) any { return uuid.UUID(c.ID) }},
		{"started_at", "timestamptz", func(c c) any { return c.ID.Started() }},
		{"version", "bigint", func(c c) any { return c.Version }},
		{"state", "text", func(c c) any { return string(c.State) }},
		{"tenant", "text", func(c c) any { return clean(c.Tenant) }},
		{"linked_id", "uuid", func(c c) any { return uuid.UUID(c.LinkedID) }},
		{"node_id", "text", func(c c) any { return clean(c.Node) }},
		{"epoch", "bigint", func(c c) any { return c.Epoch }},
		{"origin", "text", func(c c) any { return clean(c.Origin) }},
		{"session_id", "text", func(c c) any { return text(c.SessionID) }},
		{"direction", "text", func(c c) any { return string(c.Direction) }},
		{"user_id", "text", func(c c) any { return text(c.User) }},
		{"trunk_id", "text", func(c c) any { return text(c.Trunk) }},
		{"route_id", "text", func(c c) any { return text(c.Route) }},
		{"a_raw", "text", func(c c) any { return clean(c.From) }},
		{"b_raw", "text", func(c c) any { return clean(c.To) }},
		{"a_e164", "text", func(c c) any { return text(c.FromN) }},
		{"b_e164", "text", func(c c) any { return text(c.ToN) }},
		{"icid", "text", func(c c) any { return text(c.ICID) }},
		{"icid_gen_at", "text", func(c c) any { return text(c.ICIDAt) }},
		{"orig_ioi", "text", func(c c) any { return text(c.OrigIOI) }},
		{"term_ioi", "text", func(c c) any { return text(c.TermIOI) }},
		{"setup_at", "timestamptz", func(c c) any { return c.SetupAt }},
		{"progress_at", "timestamptz", func(c c) any { return at(c.ProgressAt) }},
		{"early_media_at", "timestamptz", func(c c) any { return at(c.EarlyMediaAt) }},
		{"answered_at", "timestamptz", func(c c) any { return at(c.AnsweredAt) }},
		{"ended_at", "timestamptz", func(c c) any { return at(c.EndedAt) }},
		{"pdd_ms", "bigint", func(c c) any { return c.PDD }},
		{"ring_ms", "bigint", func(c c) any { return c.Ring }},
		{"duration_ms", "bigint", func(c c) any { return c.Duration }},
		{"bill_ms", "bigint", func(c c) any { return c.Bill }},
		{"end_party", "text", func(c c) any { return text(c.EndedBy) }},
		{"sip_code", "bigint", func(c c) any { return number(c.Cause.SIP) }},
		{"q850", "bigint", func(c c) any { return number(c.Cause.Q850) }},
		{"reason_text", "text", func(c c) any { return text(c.Cause.Text) }},
		{"reason_raw", "text", func(c c) any { return text(c.Cause.Raw) }},
		{"incomplete", "boolean", func(c c) any { return c.Incomplete }},
		{"attempts", "bigint", func(c c) any { return c.Attempts }},
		{"transcoded", "boolean", func(c c) any { return c.Transcoded }},
		{"app_id", "text", func(c c) any { return text(c.App) }},
		{"account", "text", func(c c) any { return text(c.Payer) }},
		{"partial_no", "bigint", func(c c) any { return number(c.PartialNo) }},
		{"mos_min", "float8", func(c c) any { return c.MOSMin }},
		{"mos_avg", "float8", func(c c) any { return c.MOSAvg }},
		{"one_way", "boolean", func(c c) any { return flag(c, c.OneWay) }},
		{"fas_suspect", "boolean", func(c c) any { return flag(c, c.FASSuspect) }},
	}
}

func legColumns() []column[legOf] {
	type l = legOf
	return []column[l]{
		{"call_id", "uuid", func(v l) any { return uuid.UUID(v.c.ID) }},
		{"leg_no", "bigint", func(v l) any { return v.l.No }},
		{"started_at", "timestamptz", func(v l) any { return v.c.ID.Started() }},
		{"version", "bigint", func(v l) any { return v.c.Version }},
		{"attempt", "bigint", func(v l) any { return v.l.Attempt }},
		{"role", "text", func(v l) any { return string(v.l.Role) }},
		{"kind", "text", func(v l) any { return v.l.Kind }},
		{"direction", "text", func(v l) any { return string(v.l.Direction) }},
		{"user_id", "text", func(v l) any { return text(v.l.User) }},
		{"trunk_id", "text", func(v l) any { return text(v.l.Trunk) }},
		{"transport", "text", func(v l) any { return text(v.l.Transport) }},
		{"sip_call_id", "text", func(v l) any { return text(v.l.SIPCallID) }},
		{"local_tag", "text", func(v l) any { return text(v.l.LocalTag) }},
		{"remote_tag", "text", func(v l) any { return text(v.l.RemoteTag) }},
		{"from_uri", "text", func(v l) any { return text(v.l.FromURI) }},
		{"to_uri", "text", func(v l) any { return text(v.l.ToURI) }},
		{"ruri", "text", func(v l) any { return text(v.l.RequestURI) }},
		{"contact", "text", func(v l) any { return text(v.l.Contact) }},
		{"pai", "text", func(v l) any { return text(v.l.PAI) }},
		{"diversion", "text", func(v l) any { return text(v.l.Diversion) }},
		{"ppi", "text", func(v l) any { return text(v.l.PPI) }},
		{"rpid", "text", func(v l) any { return text(v.l.RPID) }},
		{"privacy", "text", func(v l) any { return text(v.l.Privacy) }},
		{"history_info", "text", func(v l) any { return text(v.l.HistoryInfo) }},
		{"charging_vector", "text", func(v l) any { return text(v.l.Charging) }},
		{"access_network_info", "text", func(v l) any { return text(v.l.Access) }},
		{"user_agent", "text", func(v l) any { return text(v.l.UserAgent) }},
		{"remote_sig", "inet", func(v l) any { return addr(v.l.Signalling) }},
		{"remote_sig_port", "bigint", func(v l) any { return port(v.l.Signalling) }},
		{"local_media", "inet", func(v l) any { return addr(v.l.Media.Local) }},
		{"local_media_port", "bigint", func(v l) any { return port(v.l.Media.Local) }},
		{"remote_media", "inet", func(v l) any { return addr(v.l.Media.Remote) }},
		{"remote_media_port", "bigint", func(v l) any { return port(v.l.Media.Remote) }},
		{"srtp", "text", func(v l) any { return text(v.l.Media.SRTP) }},
		{"codec_rx", "text", func(v l) any { return text(v.l.Media.Codec) }},
		{"codec_tx", "text", func(v l) any { return text(v.l.Media.Codec) }},
		{"ptime_ms", "bigint", func(v l) any { return number(v.l.Media.Ptime) }},
		{"dtmf_mode", "text", func(v l) any { return text(v.l.Media.DTMF) }},
		{"media_direction", "text", func(v l) any { return text(v.l.Media.Direction) }},
		{"transcoded", "boolean", func(v l) any { return v.l.Media.Transcoded }},
		{"early_media", "boolean", func(v l) any { return v.l.EarlyMedia }},
		{"invite_at", "timestamptz", func(v l) any { return v.l.InviteAt }},
		{"progress_at", "timestamptz", func(v l) any { return at(v.l.ProgressAt) }},
		{"answered_at", "timestamptz", func(v l) any { return at(v.l.AnsweredAt) }},
		{"ended_at", "timestamptz", func(v l) any { return at(v.l.EndedAt) }},
		{"pdd_ms", "bigint", func(v l) any { return v.l.PDD }},
		{"sip_code", "bigint", func(v l) any { return number(v.l.Cause.SIP) }},
		{"q850", "bigint", func(v l) any { return number(v.l.Cause.Q850) }},
		{"reason", "text", func(v l) any { return text(v.l.Cause.Text) }},
		{"reason_raw", "text", func(v l) any { return text(v.l.Cause.Raw) }},
		{"hung_up", "boolean", func(v l) any { return v.l.HungUp }},
		{"quality", "jsonb", func(v l) any { return v.l.Quality }},
		{"talk_ms", "bigint", func(v l) any { return talked(v.l, v.l.Talk) }},
		{"talk_from_ms", "bigint", func(v l) any { return talked(v.l, v.l.TalkFrom) }},
		{"carried", "jsonb", func(v l) any { return v.l.Carried }},
	}
}

// upsert writes rows, of which each column's values are an array, unless a later version of them is there.
func upsert[T any](table string, columns []column[T], key ...string) string {
	var names, arrays, sets []string
	isKey := make(map[string]bool)
	for _, k := range key {
		isKey[k] = true
	}
	for i, c := range columns {
		names = append(names, c.name)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, c.kind))
		if !isKey[c.name] {
			sets = append(sets, c.name+" = excluded."+c.name)
		}
	}
	return fmt.Sprintf("INSERT INTO patchbay.%s AS t (%s) SELECT * FROM unnest(%s) ON CONFLICT (%s) DO UPDATE SET %s WHERE excluded.version > t.version",
		table, strings.Join(names, ", "), strings.Join(arrays, ", "), strings.Join(key, ", "), strings.Join(sets, ", "))
}

// arrays are the columns of rows.
func arrays[T any](columns []column[T], rows []T) ([]any, error) {
	out := make([]any, len(columns))
	for i, c := range columns {
		a := newArray(c.kind)
		for _, r := range rows {
			if err := a.add(c.value(r)); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
		}
		out[i] = a.param()
	}
	return out, nil
}
