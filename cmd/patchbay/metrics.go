package main

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/patchbay/patchbay/media"
)

// metrics exports every counter of the process. The packages keep plain atomics; they are read at scrape.
func (s *server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type collector struct{ s *server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("patchbay_"+name, help, labels, nil)
}

// Describe sends nothing: the set depends on trunks and reasons (an unchecked collector).
func (c collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, l ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, l...)
	}
	count := func(d *prometheus.Desc, v float64, l ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, l...)
	}
	g := c.s.gateway.Status()
	gauge(desc("calls_active", "Calls now."), float64(g.Calls))
	count(desc("calls_begun_total", "Calls whose source was identified."), float64(g.Begun))
	count(desc("calls_answered_total", "Calls answered."), float64(g.Answered))
	count(desc("calls_refused_unrecorded_total", "Calls refused because records can't be written."), float64(g.Refused))
	for code, n := range g.Results {
		count(desc("call_results_total", "Ended calls by the SIP status that their caller was told; 200 is an answered call.", "sip_code"), float64(n), code)
	}
	gauge(desc("users_online", "Users with a registered contact."), float64(len(g.Online)))
	for _, t := range g.Trunks {
		gauge(desc("trunk_up", "1 if calls can go out over the trunk.", "trunk"), truth(t.Up), t.ID)
		gauge(desc("trunk_calls_active", "Calls on the trunk now.", "trunk"), float64(t.Calls), t.ID)
		if !t.Expires.IsZero() {
			gauge(desc("trunk_registration_expiry_timestamp_seconds", "When the granted registration ends, in seconds since 1970.", "trunk"), float64(t.Expires.Unix()), t.ID)
		}
		for class, n := range t.Messages.ResponsesIn {
			count(desc("trunk_responses_total", "Responses received from the trunk.", "trunk", "class"), float64(n), t.ID, class)
		}
	}
	f := c.s.front.Stats()
	for reason, n := range f.Dropped {
		count(desc("sip_dropped_total", "SIP messages dropped without an answer.", "reason"), float64(n), reason)
	}
	gauge(desc("sip_connections", "Accepted SIP connections now."), float64(f.Connections))
	gauge(desc("https_certificate_expiry_timestamp_seconds", "When the HTTPS certificate in use ends, in seconds since 1970."), float64(c.s.certificates.expires().Unix()))
	gauge(desc("sip_transactions", "SIP transactions now.", "role"), float64(f.ClientTransactions), "client")
	gauge(desc("sip_transactions", "SIP transactions now.", "role"), float64(f.ServerTransactions), "server")
	c.users(gauge, count)
	c.routing(gauge, count)
	c.quality(out, count)
	c.media(gauge, count)
	c.rpc(gauge, count)
	c.billing(gauge, count)
	c.told(count)
	c.ports(gauge)
}

func (c collector) rpc(gauge, count func(*prometheus.Desc, float64, ...string)) {
	s := c.s.rpc.Stats()
	gauge(desc("rpc_connections", "JSON-RPC connections now."), float64(s.Connections))
	gauge(desc("rpc_sessions", "Sessions now, those that have lost their connection a moment ago among them."), float64(s.Sessions))
	gauge(desc("rpc_objects", "Objects that clients and we have made, now."), float64(s.Objects))
	count(desc("rpc_connections_total", "JSON-RPC connections admitted."), float64(s.Connected))
	count(desc("rpc_slow_clients_total", "Clients cut off because they didn't read what they were sent."), float64(s.Slow))
	count(desc("rpc_duplicates_total", "Repeated requests, which got the first one's reply."), float64(s.Duplicates))
	count(desc("rpc_events_total", "Events sent."), float64(s.Events))
	for method, n := range s.Requests {
		count(desc("rpc_requests_total", "Requests, those within transactions too.", "method"), float64(n), method)
	}
	for code, n := range s.Errors {
		count(desc("rpc_errors_total", "Requests that failed.", "code"), float64(n), strconv.Itoa(int(code)))
	}
	a := c.s.access
	const tokens, help = "rpc_tokens_total", "Tokens that programs showed: good, wrong (or expired), limited (too many were wrong)."
	count(desc(tokens, help, "result"), float64(a.used.good.Load()), "good")
	count(desc(tokens, help, "result"), float64(a.used.wrong.Load()), "wrong")
	count(desc(tokens, help, "result"), float64(a.used.limited.Load()), "limited")
}

func (c collector) users(gauge, count func(*prometheus.Desc, float64, ...string)) {
	m := c.s.me
	const logins, help = "logins_total", "Logins of the page: good, wrong (user or password), limited (too many were wrong)."
	count(desc(logins, help, "result"), float64(m.logins.good.Load()), "good")
	count(desc(logins, help, "result"), float64(m.logins.wrong.Load()), "wrong")
	count(desc(logins, help, "result"), float64(m.logins.limited.Load()), "limited")
	gauge(desc("login_tokens", "Tokens of logins that are still good."), float64(m.tokens.live()))
}

func (c collector) media(gauge, count func(*prometheus.Desc, float64, ...string)) {
	o := c.s.registry.Offload()
	gauge(desc("transcoders", "Costly conversions between codecs now, one for each direction of a call."), float64(o.Converters))
	gauge(desc("transcoder_workers", "Goroutines that do them."), float64(o.Workers))
	count(desc("transcoded_frames_total", "Frames that they converted."), float64(o.Frames))
	count(desc("transcoder_dropped_total", "Frames dropped because they come faster than they can be converted."), float64(o.Dropped))
	if c.s.browsers == nil {
		return
	}
	var s media.Snapshot
	c.s.browsers.Stats(&s)
	gauge(desc("webrtc_endpoints", "Browsers' legs now."), s.Notes["webrtc.endpoints"])
	gauge(desc("webrtc_handshakes", "DTLS handshakes now."), s.Notes["webrtc.handshakes"])
	for _, what := range [...]string{"refused", "pushed"} {
		count(desc("webrtc_handshakes_crowded_total", "DTLS handshakes that found no room, or weren't over when others needed theirs.", "outcome"),
			s.Notes["webrtc.handshakes."+what], what)
	}
	for _, reason := range [...]string{"stun", "strangers", "other", "limited", "taken"} {
		count(desc("webrtc_dropped_total", "Packets to browsers' port that were for none of their legs.", "reason"), s.Notes["webrtc.port."+reason], reason)
	}
}

func (c collector) billing(gauge, count func(*prometheus.Desc, float64, ...string)) {
	b := c.s.store.Stats()
	count(desc("journal_events_total", "Events made durable."), float64(b.Events))
	gauge(desc("outbox_events", "Durable records that the database doesn't hold yet."), float64(b.Outbox))
	gauge(desc("outbox_oldest_seconds", "Age of the oldest of them."), b.Oldest.Seconds())
	gauge(desc("cdr_lag_seconds", "From the last projected event to its commit in the database."), b.Lag.Seconds())
	count(desc("projection_retries_total", "Projections repeated after an error."), float64(b.Retries))
	count(desc("projection_dead_total", "Events set aside because the database refuses them."), float64(b.Dead))
	count(desc("journal_failed_writes_total", "Writes to the journal that failed."), float64(b.Failed))
	count(desc("journal_dropped_total", "Notes that found no room."), float64(b.Dropped))
	gauge(desc("journal_bytes", "Size of the journal."), float64(b.JournalB))
	gauge(desc("journal_disk_free_bytes", "Free space on the journal's disk."), float64(b.FreeB))
	gauge(desc("journal_disk_low", "1 while less than billing.min_free is left there."), truth(b.LowDisk))
	gauge(desc("database_connected", "1 if the database is connected."), truth(b.Connected))
	gauge(desc("retention_overdue", "Months of tables that billing.retention should have dropped, and that can't be exported: an alarm if not 0."), float64(b.Overdue))
	count(desc("journal_commit_seconds_total", "Time spent in commits."), b.CommitTime.Seconds())
	count(desc("journal_syncs_total", "Times that the disk was made to write."), float64(b.Syncs))
}

func (c collector) ports(gauge func(*prometheus.Desc, float64, ...string)) {
	for addr, p := range c.s.gateway.Ports() {
		gauge(desc("ports_free", "Pairs of media ports that a call can take now.", "address"), float64(p.Free), addr)
		gauge(desc("ports_used", "Pairs of media ports that calls have.", "address"), float64(p.Used), addr)
		gauge(desc("ports_held", "Pairs kept out of use for a moment after a call.", "address"), float64(p.Held), addr)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
