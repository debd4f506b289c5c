package billing

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/gateway/call"
)

// query lists calls from the database, with their legs.
func (r *Reader) query(ctx context.Context, f Filter) ([]*call.Call, error) {
	if r.conn == nil {
		return nil, nil
	}
	sql, args := f.selects()
	// Planned for these times each time: of times that it doesn't know the planner expects a few calls, and sorts all that there are.
	rows, err := r.conn.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		return nil, missingIsEmpty(err)
	}
	calls, err := pgx.CollectRows(rows, scanCall)
	if err != nil {
		return nil, missingIsEmpty(err)
	}
	if len(calls) == 0 {
		return nil, nil
	}
	return calls, r.legs(ctx, calls)
}

// selects is the question for the newest calls that the filter chooses.
func (f Filter) selects() (string, []any) {
	where, args := f.sql()
	var names []string
	for _, c := range callColumns() {
		names = append(names, c.name)
	}
	return fmt.Sprintf("SELECT %s FROM patchbay.call c WHERE %s ORDER BY call_id DESC LIMIT %d", strings.Join(names, ", "), where, f.Limit), args
}

// idOf is the least id of a time, or the greatest: ids begin with their time, so that what comes first, and next, is read off their own index. What
// can't be in an id is at its end.
func idOf(t time.Time, fill byte) uuid.UUID {
	ms := uint64(min(max(t.UnixMilli(), 0), 1<<48-1))
	id := uuid.UUID{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
	for i := 6; i < len(id); i++ {
		id[i] = fill
	}
	return id
}

// sql is the filter as a condition.
func (f Filter) sql() (string, []any) {
	conds, args := []string{"true"}, []any(nil)
	add := func(cond string, v any) {
		args = append(args, v)
		conds = append(conds, strings.ReplaceAll(cond, "?", fmt.Sprintf("$%d", len(args))))
	}
	leg := func(column string) string {
		return "(c." + column + " = ? OR EXISTS (SELECT FROM patchbay.leg l WHERE l.call_id = c.call_id AND l.started_at = c.started_at AND l." + column + " = ?))"
	}
	if !f.From.IsZero() {
		add("started_at >= ?", f.From)
		add("call_id >= ?", idOf(f.From, 0))
	}
	if !f.To.IsZero() {
		add("started_at < ?", f.To)
		add("call_id <= ?", idOf(f.To, 0xff))
	}
	if f.low != nil && f.high != nil {
		add("call_id >= ?", uuid.UUID(*f.low))
		add("call_id <= ?", uuid.UUID(*f.high))
	}
	if f.Tenant != "" {
		add("tenant = ?", f.Tenant)
	}
	if f.User != "" {
		add(leg("user_id"), f.User)
	}
	if f.Trunk != "" {
		add(leg("trunk_id"), f.Trunk)
	}
	if f.Number != "" {
		add("(right(a_raw, length(?::text)) = ? OR right(b_raw, length(?::text)) = ? OR right(a_e164, length(?::text)) = ? OR right(b_e164, length(?::text)) = ?)", f.Number)
	}
	if f.State != "" {
		add("state = ?", string(f.State))
	}
	if f.Cause != 0 {
		add("q850 = ?", f.Cause)
	}
	if f.SIP != 0 {
		add("sip_code = ?", f.SIP)
	}
	return strings.Join(conds, " AND "), args
}

// scanCall reads the columns of callColumns.
func scanCall(row pgx.CollectableRow) (*call.Call, error) {
	c := &call.Call{}
	var id, linked uuid.UUID
	var started time.Time
	err := row.Scan(&id, &started, &c.Version, &c.State, &c.Tenant, &linked, &c.Node, &c.Epoch, &c.Origin, orEmpty(&c.SessionID), &c.Direction,
		orEmpty(&c.User), orEmpty(&c.Trunk), orEmpty(&c.Route), &c.From, &c.To, orEmpty(&c.FromN), orEmpty(&c.ToN), orEmpty(&c.ICID), orEmpty(&c.ICIDAt), orEmpty(&c.OrigIOI), orEmpty(&c.TermIOI),
		&c.SetupAt, &c.ProgressAt, &c.EarlyMediaAt, &c.AnsweredAt, &c.EndedAt, &c.PDD, &c.Ring, &c.Duration, &c.Bill,
		orEmpty((*string)(&c.EndedBy)), orZero(&c.Cause.SIP), orZero(&c.Cause.Q850), orEmpty(&c.Cause.Text), orEmpty(&c.Cause.Raw),
		&c.Incomplete, &c.Attempts, &c.Transcoded, orEmpty(&c.App), orEmpty(&c.Payer),
		orZero(&c.PartialNo), &c.MOSMin, &c.MOSAvg, orFalse(&c.OneWay), orFalse(&c.FASSuspect))
	c.ID, c.LinkedID = call.ID(id), call.ID(linked)
	utc(&c.SetupAt, c.ProgressAt, c.EarlyMediaAt, c.AnsweredAt, c.EndedAt)
	return c, err
}

// legs adds the legs of the calls.
func (r *Reader) legs(ctx context.Context, calls []*call.Call) error {
	by := make(map[uuid.UUID]*call.Call, len(calls))
	ids := make([]uuid.UUID, len(calls))
	from, to := calls[len(calls)-1].ID.Started(), calls[0].ID.Started()
	for i, c := range calls {
		ids[i] = uuid.UUID(c.ID)
		by[ids[i]] = c
	}
	var names []string
	for _, c := range legColumns() {
		names = append(names, c.name)
	}
	rows, err := r.conn.Query(ctx, fmt.Sprintf("SELECT %s FROM patchbay.leg WHERE call_id = ANY($1) AND started_at BETWEEN $2 AND $3 ORDER BY call_id, leg_no",
		strings.Join(names, ", ")), ids, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		id, l, err := scanLeg(rows)
		if err != nil {
			return err
		}
		by[id].Legs = append(by[id].Legs, l)
	}
	return rows.Err()
}

// scanLeg reads the columns of legColumns.
func scanLeg(row pgx.Rows) (uuid.UUID, *call.Leg, error) {
	l := &call.Leg{}
	var id uuid.UUID
	var started time.Time
	var version uint64
	var sig, local, remote *netip.Addr
	var sigPort, localPort, remotePort int
	err := row.Scan(&id, &l.No, &started, &version, &l.Attempt, &l.Role, &l.Kind, &l.Direction, orEmpty(&l.User), orEmpty(&l.Trunk),
		orEmpty(&l.Transport), orEmpty(&l.SIPCallID), orEmpty(&l.LocalTag), orEmpty(&l.RemoteTag), orEmpty(&l.FromURI), orEmpty(&l.ToURI),
		orEmpty(&l.RequestURI), orEmpty(&l.Contact), orEmpty(&l.PAI), orEmpty(&l.Diversion), orEmpty(&l.PPI), orEmpty(&l.RPID), orEmpty(&l.Privacy),
		orEmpty(&l.HistoryInfo), orEmpty(&l.Charging), orEmpty(&l.Access), orEmpty(&l.UserAgent),
		&sig, orZero(&sigPort), &local, orZero(&localPort), &remote, orZero(&remotePort), orEmpty(&l.Media.SRTP),
		orEmpty(&l.Media.Codec), orEmpty(&l.Media.Codec), orZero(&l.Media.Ptime), orEmpty(&l.Media.DTMF), orEmpty(&l.Media.Direction),
		&l.Media.Transcoded, &l.EarlyMedia, &l.InviteAt, &l.ProgressAt, &l.AnsweredAt, &l.EndedAt, &l.PDD,
		orZero(&l.Cause.SIP), orZero(&l.Cause.Q850), orEmpty(&l.Cause.Text), orEmpty(&l.Cause.Raw), &l.HungUp, &l.Quality, orNone(&l.Talk), orNone(&l.TalkFrom), &l.Carried)
	if l.Carried != nil {
		l.Carried.At = l.Carried.At.UTC()
	}
	l.Signalling, l.Media.Local, l.Media.Remote = join(sig, sigPort), join(local, localPort), join(remote, remotePort)
	utc(&l.InviteAt, l.ProgressAt, l.AnsweredAt, l.EndedAt)
	return id, l, err
}

func join(a *netip.Addr, port int) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(*a, uint16(port))
}

func utc(times ...*time.Time) {
	for _, t := range times {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// null scans a column that may be null into a value that is then its zero.
type null[T any] struct{ to *T }

func (n null[T]) Scan(v any) error {
	if v == nil {
		return nil
	}
	switch to := any(n.to).(type) {
	case *string:
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("column holds %T, expected text", v)
		}
		*to = s
	case *int:
		i, ok := v.(int64)
		if !ok {
			return fmt.Errorf("column holds %T, expected a number", v)
		}
		*to = int(i)
	case *int64:
		i, ok := v.(int64)
		if !ok {
			return fmt.Errorf("column holds %T, expected a number", v)
		}
		*to = i
	case *bool:
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("column holds %T, expected a boolean", v)
		}
		*to = b
	}
	return nil
}

func orEmpty(s *string) null[string] { return null[string]{s} }
func orZero(i *int) null[int]        { return null[int]{i} }
func orNone(i *int64) null[int64]    { return null[int64]{i} }
func orFalse(b *bool) null[bool]     { return null[bool]{b} }
