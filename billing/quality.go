package billing

import (
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
)

// qualityColumns are the columns of leg_quality that an event of kind quality fills, by the names that its buckets have in JSON.
var qualityColumns = [...]struct{ column, json, kind string }{
	{"leg_no", "leg", "integer"}, {"stream", "stream", "text"}, {"bucket", "bucket", "integer"}, {"span_ms", "spanMs", "bigint"},
	{"ssrc", "ssrc", "bigint"}, {"codec", "codec", "text"}, {"pkts", "packets", "bigint"}, {"bytes", "bytes", "bigint"},
	{"lost", "lost", "bigint"}, {"dup", "duplicate", "bigint"}, {"reordered", "reordered", "bigint"},
	{"src_rejected", "rejected", "bigint"}, {"bursts", "bursts", "bigint"}, {"burst_r", "burstR", "real"},
	{"jitter_ms", "jitterMs", "real"}, {"jitter_min_ms", "jitterMinMs", "real"}, {"jitter_avg_ms", "jitterAvgMs", "real"},
	{"jitter_p95_ms", "jitterP95Ms", "real"}, {"jitter_max_ms", "jitterMaxMs", "real"},
	{"rtt_ms", "rttMs", "real"}, {"rtt_min_ms", "rttMinMs", "real"}, {"rtt_max_ms", "rttMaxMs", "real"}, {"owd_ms", "delayMs", "real"},
	{"r", "r", "numeric"}, {"mos_lq", "mosLq", "numeric"}, {"mos_cq", "mosCq", "numeric"},
	{"ie", "ie", "real"}, {"bpl", "bpl", "real"}, {"ppl", "ppl", "real"}, {"first_rtp_ms", "firstRtpMs", "bigint"},
	{"skew_ppm", "skewPpm", "real"}, {"silence_ms", "silenceMs", "bigint"},
}

// reportedColumns are those that a bucket's xr fills, which is an object of its own.
var reportedColumns = [...]struct{ column, json, kind string }{
	{"xr_loss", "lossPercent", "real"}, {"xr_discard", "discardPercent", "real"}, {"xr_burst_density", "burstDensityPercent", "real"},
	{"xr_gap_density", "gapDensityPercent", "real"}, {"xr_burst_ms", "burstMs", "real"}, {"xr_gap_ms", "gapMs", "real"},
	{"xr_rtt_ms", "rttMs", "real"}, {"xr_delay_ms", "delayMs", "real"}, {"xr_signal_dbm", "signalDbm", "real"}, {"xr_noise_dbm", "noiseDbm", "real"},
	{"xr_echo_loss_db", "echoLossDb", "real"}, {"xr_r", "r", "real"}, {"xr_external_r", "externalR", "real"}, {"xr_mos_lq", "mosLq", "numeric"},
	{"xr_mos_cq", "mosCq", "numeric"}, {"xr_buffer_ms", "bufferMs", "real"}, {"xr_buffer_max_ms", "bufferMaxMs", "real"},
	{"xr_lost", "lost", "bigint"}, {"xr_dup", "duplicate", "bigint"}, {"xr_concealment", "concealment", "text"},
}

// qualityFlags are those whose absence has a meaning: the column, what it is made of, and the kind that this has in JSON.
var qualityFlags = [...]struct{ column, json, kind, absent string }{
	{"no_media", "noMedia", "boolean", "false"}, {"one_way", "oneWay", "boolean", "false"},
	{"provisional", "provisional", "boolean", "false"}, {"modelled", "modelled", "text[]", "'{}'"},
}

// insertQuality makes rows of the buckets of events: of their ids, the times in them, and their data.
func insertQuality() string {
	var names, takes, kinds []string
	for _, c := range qualityColumns {
		names, takes = append(names, c.column), append(takes, fmt.Sprintf("b.%q", c.json))
		kinds = append(kinds, fmt.Sprintf("%q %s", c.json, c.kind))
	}
	kinds = append(kinds, "xr jsonb")
	for _, c := range reportedColumns {
		names, takes = append(names, c.column), append(takes, fmt.Sprintf("(b.xr ->> '%s')::%s", c.json, c.kind))
	}
	for _, c := range qualityFlags {
		names, takes = append(names, c.column), append(takes, fmt.Sprintf("COALESCE(b.%q, %s)", c.json, c.absent))
		kinds = append(kinds, fmt.Sprintf("%q %s", c.json, c.kind))
	}
	return fmt.Sprintf(`INSERT INTO patchbay.leg_quality (call_id, started_at, %s)
SELECT e.id, e.started, %s FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS e (id, started, data),
jsonb_to_recordset(e.data::jsonb -> 'buckets') AS b (%s) ON CONFLICT DO NOTHING`,
		strings.Join(names, ", "), strings.Join(takes, ", "), strings.Join(kinds, ", "))
}

// measured are the events among rows that tell quality.
func measured(rows []eventRow) []eventRow {
	var out []eventRow
	for _, r := range rows {
		if r.e.Data.Kind() == call.KindQuality {
			out = append(out, r)
		}
	}
	return out
}

func qualityArgs(rows []eventRow) []any {
	ids, started, data := newArray("uuid"), newArray("timestamptz"), newArray("text")
	for _, r := range rows {
		ids.uuid(r.e.Call)
		started.time(r.e.Call.Started())
		data.bytes(r.data)
	}
	return []any{ids.param(), started.param(), data.param()}
}
