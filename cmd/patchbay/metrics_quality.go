package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/patchbay/patchbay/gateway"
)

// quality exports what media was like: a value for ten seconds of each stream of each leg.
func (c collector) quality(out chan<- prometheus.Metric, count func(*prometheus.Desc, float64, ...string)) {
	h := c.s.gateway.Heard()
	for stream, mos := range h.MOS {
		histogram(out, desc("mos", "Mean opinion score (G.107) of ten seconds of a leg's stream: in came from its party, out is what the party reported.", "stream"), mos, stream)
	}
	histogram(out, desc("jitter_seconds", "Mean interarrival jitter (RFC 3550) of ten seconds of what came from a leg's party."), h.Jitter)
	histogram(out, desc("rtt_seconds", "Round trip to a leg's party (RTCP), every ten seconds."), h.RTT)
	count(desc("one_way_total", "Legs whose party was sent media and was never heard."), float64(h.OneWay))
}

func histogram(out chan<- prometheus.Metric, d *prometheus.Desc, h gateway.Histogram, labels ...string) {
	buckets, n := make(map[float64]uint64, len(h.Bounds)), uint64(0)
	for i, bound := range h.Bounds {
		n += h.Counts[i]
		buckets[bound] = n
	}
	n += h.Counts[len(h.Bounds)]
	out <- prometheus.MustNewConstHistogram(d, n, h.Sum, buckets, labels...)
}
