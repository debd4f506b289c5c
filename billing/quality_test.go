package billing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway/call"
)

func ptr[T any](v T) *T { return &v }

// measuredStory is a story with three times ten seconds of quality, a partial record, and the whole of both legs.
func measuredStory(i int) []call.Event {
	e := story(time.Now(), 1)
	answered, rest := e[:9:9], e[9:]
	add := func(d call.Data) {
		n := answered[len(answered)-1]
		n.Seq, n.Leg, n.Data = n.Seq+1, 0, d
		n.At, n.Mono = n.At.Add(time.Second), n.Mono+1e9
		answered = append(answered, n)
	}
	bucket := func(leg int, stream string, no int) call.Bucket {
		b := call.Bucket{Leg: leg, Stream: stream, No: no, SpanMS: 10_000, SSRC: 1<<32 - 1, Codec: "PCMA/8000", Packets: 500, Bytes: 80_000}
		if stream == call.StreamIn {
			b.Lost, b.Jitter, b.MOSLQ = ptr(int64(no+i)), ptr(1.25), ptr(4.41)
			b.MOSCQ, b.R, b.RTT = ptr(4.4-float64(no)/10), ptr(92.5), ptr(18.25)
			b.Modelled = []string{"concealment", "delay"}
			b.Skew, b.Silence = ptr(-37.5), ptr(int64(1200+no))
		} else if no == 0 {
			b.XR = &call.XR{Loss: ptr(1.25), Discard: ptr(float64(i)), BurstDensity: ptr(50.0), GapDensity: ptr(0.5), Burst: ptr(250.0), Gap: ptr(4000.0), RTT: ptr(180.0),
				Delay: ptr(65.0), Signal: ptr(-20.0), Noise: ptr(-60.0), EchoLoss: ptr(55.0), R: ptr(71.0), ExternalR: ptr(80.0), MOSLQ: ptr(3.7), MOSCQ: ptr(3.6),
				Buffer: ptr(40.0), BufferMax: ptr(120.0), Lost: ptr(int64(1<<32 - 1)), Duplicate: ptr(int64(3)), Concealment: "standard"}
		}
		return b
	}
	for no := 1; no <= 3; no++ {
		add(call.Measured{Buckets: []call.Bucket{bucket(1, "in", no), bucket(1, "out", no), bucket(2, "in", no), bucket(2, "out", no)}})
		if no == 2 {
			add(call.PartialRecord{No: 1})
		}
	}
	whole := bucket(2, "in", 0)
	whole.OneWay, whole.NoMedia, whole.Packets, whole.Lost = true, true, 0, nil
	add(call.Measured{Buckets: []call.Bucket{bucket(1, "in", 0), bucket(1, "out", 0), whole, bucket(2, "out", 0)}})
	more := uint64(len(answered)) - 9
	for _, r := range rest {
		r.Seq += more
		answered = append(answered, r)
	}
	return answered
}

// Every bucket stands in leg_quality once, with what its event says, also when connections die at each step and all of it is
// projected again.
func TestQualityRows(t *testing.T) {
	t.Parallel()
	url, dir := database(t), folder(t)
	s := openStopped(t, config(dir, url))
	killer, kills, stages := dial(t, url), 0, 0
	s.projector.batch = 40
	s.projector.after = func(string) {
		if stages++; stages%7 != 5 || kills > 10 {
			return
		}
		kills++
		if _, err := killer.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Error(err)
		}
	}
	s.startProjector()
	var all [][]call.Event
	for i := range 30 {
		all = append(all, measuredStory(i))
	}
	for i := 0; i < len(all); i += 3 {
		commitAll(t, s, all[i:i+3])
	}
	eventually(t, "projected", func() bool { return s.Stats().Outbox == 0 })
	shut(t, s)
	if kills == 0 {
		t.Error("nothing was killed")
	}
	conn := dial(t, url)
	var rows, nulls, legs, lost, flagged, modelled int
	var mos float64
	err := conn.QueryRow(context.Background(), `SELECT count(*), count(*) FILTER (WHERE late IS NULL AND concealed_ms IS NULL), count(DISTINCT (call_id, leg_no)),
		sum(lost) FILTER (WHERE bucket > 0), count(*) FILTER (WHERE one_way AND no_media AND lost IS NULL), count(*) FILTER (WHERE modelled = '{concealment,delay}'),
		min(mos_cq)::float8 FROM patchbay.leg_quality`).Scan(&rows, &nulls, &legs, &lost, &flagged, &modelled, &mos)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for i := range all {
		want += 2 * (1 + 2 + 3 + 3*i)
	}
	if rows != 30*16 || nulls != rows || legs != 60 || lost != want || flagged != 30 || modelled != 30*8 || math.Abs(mos-4.1) > 1e-9 {
		t.Errorf("%d rows, %d without what a relay can't know, of %d legs, %d lost (expected %d), %d one-way, %d modelled, least MOS %v", rows, nulls, legs, lost, want, flagged, modelled, mos)
	}
	reportedRows(t, conn)
	r := reader(t, Config{Dir: t.TempDir(), Database: url, Log: quiet()})
	q, err := report.Parse(report.Worst, func(string) (string, bool) { return "", false }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	worst, err := r.Report(context.Background(), q, nil)
	if err != nil || len(worst.Rows) != 30*2 || fmt.Sprint(worst.Rows[0][len(worst.Rows[0])-5:]) != "[<nil> <nil> -37.5 false false]" {
		t.Errorf("%d worst legs, expected 60, %v", len(worst.Rows), err)
	}
	for _, c := range list(t, r, Filter{Limit: 100}) {
		if c.MOSMin == nil || *c.MOSMin != 4.1 || c.MOSAvg == nil || *c.MOSAvg != 4.2 || !c.OneWay || c.FASSuspect || c.PartialNo != 1 || c.State != call.Closed {
			t.Errorf("call %+v", c)
		}
	}
	for _, e := range all {
		c, events, err := r.Show(context.Background(), e[0].Call.String())
		if err != nil || len(events) != len(e) || c.Leg(2).In == nil || !c.Leg(2).In.OneWay {
			t.Errorf("%d events, %v", len(events), err)
		}
	}
}

// reportedRows: what parties say themselves, and what their timestamps do, stands where it belongs.
func reportedRows(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var skewed, silent, said, others int
	var sums []float64
	err := conn.QueryRow(context.Background(), `SELECT count(*) FILTER (WHERE skew_ppm = -37.5 AND stream = 'in'), count(*) FILTER (WHERE silence_ms = 1200 + bucket AND stream = 'in'),
		count(*) FILTER (WHERE stream = 'out' AND bucket = 0 AND xr_concealment = 'standard' AND xr_lost = 4294967295 AND xr_dup = 3 AND xr_mos_cq = 3.6 AND xr_mos_lq = 3.7),
		count(*) FILTER (WHERE (stream = 'in' OR bucket > 0) AND num_nonnulls(xr_loss, xr_discard, xr_burst_density, xr_gap_density, xr_burst_ms, xr_gap_ms, xr_rtt_ms, xr_delay_ms,
			xr_signal_dbm, xr_noise_dbm, xr_echo_loss_db, xr_r, xr_external_r, xr_mos_lq, xr_mos_cq, xr_buffer_ms, xr_buffer_max_ms, xr_lost, xr_dup, xr_concealment) > 0),
		ARRAY[avg(xr_loss), sum(xr_discard), avg(xr_burst_density), avg(xr_gap_density), avg(xr_burst_ms), avg(xr_gap_ms), avg(xr_rtt_ms), avg(xr_delay_ms), avg(xr_signal_dbm),
			avg(xr_noise_dbm), avg(xr_echo_loss_db), avg(xr_r), avg(xr_external_r), avg(xr_buffer_ms), avg(xr_buffer_max_ms)]::float8[] FROM patchbay.leg_quality`).Scan(&skewed, &silent, &said, &others, &sums)
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{1.25, 2 * 29 * 30 / 2, 50, 0.5, 250, 4000, 180, 65, -20, -60, 55, 71, 80, 40, 120}
	if skewed != 30*8 || silent != 30*8 || said != 30*2 || others != 0 || !slices.Equal(sums, want) {
		t.Errorf("%d rows with a clock, %d with silence, %d with what parties say, %d more; %v, expected %v", skewed, silent, said, others, sums, want)
	}
}

// A partial record shows what the call has come to, and is open still.
func TestPartial(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, config(folder(t), url))
	up(t, s)
	e := measuredStory(0)[:12]
	if _, ok := e[11].Data.(call.PartialRecord); !ok {
		t.Fatalf("the last event is %T", e[11].Data)
	}
	commit(t, s, e...)
	r := reader(t, Config{Dir: t.TempDir(), Database: url, Log: quiet()})
	var got []*call.Call
	eventually(t, "projected", func() bool { got = list(t, r, Filter{Limit: 1, State: call.Partial}); return len(got) == 1 })
	if c := got[0]; !c.Live() || c.PartialNo != 1 || c.Duration != 11_000 || c.Bill != 4_000 || c.EndedAt != nil {
		t.Errorf("partial record %+v", c)
	}
}
