package main

import "github.com/prometheus/client_golang/prometheus"

// told exports what other programs were told of calls.
func (c collector) told(count func(*prometheus.Desc, float64, ...string)) {
	b := c.s.store.Stats()
	const name, help = "webhook_messages_total", "Messages of webhooks: taken by their target, failed (an attempt, tried again), dead (given up)."
	count(desc(name, help, "result"), float64(b.Told), "taken")
	count(desc(name, help, "result"), float64(b.Untold), "failed")
	count(desc(name, help, "result"), float64(b.DeadTold), "dead")
	count(desc("calls_file_lines_total", "Lines written to the file of finished calls."), float64(b.Lines))
}
