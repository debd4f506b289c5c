package report

import "strings"

// Names of reports.
const (
	Traffic      = "traffic"
	Money        = "money"
	Quality      = "quality"
	Destinations = "destinations"
	Worst        = "worst"
	Concurrency  = "concurrency"
)

// definition is one report. Those without measures aren't sums.
type definition struct {
	name, about string
	by          []string
	measures    []string
	columns     []Column // of those without measures
	order       string
	limit       int
}

var definitions = []definition{
	{name: Traffic, about: "Calls, seizures, answers; ASR and NER (ITU-T E.411, E.425), ACD, post-dial delay, minutes.", by: []string{"day"},
		measures: []string{"calls", "seizures", "answered", "effective", "asr", "ner", "acd", "minutes", "pdd_p50", "pdd_p95"}, order: "-calls", limit: MaxRows},
	{name: Money, about: "What calls cost and what they were sold for, in the currency of the house.", by: []string{"trunk"},
		measures: []string{"calls", "answered", "minutes", "currency", "sell", "buy", "margin", "margin_percent", "unpriced", "losses"}, order: "-margin", limit: MaxRows},
	{name: Quality, about: "What calls sounded like: MOS (ITU-T G.107), loss, jitter, and what is suspicious.", by: []string{"trunk"},
		measures: []string{"calls", "answered", "measured", "mos", "loss_percent", "jitter", "one_way", "fas"}, order: "mos", limit: MaxRows},
	{name: Destinations, about: "Where calls go: the destinations with most calls.", by: []string{"destination"},
		measures: []string{"calls", "seizures", "answered", "asr", "ner", "acd", "minutes", "currency", "sell", "buy", "margin"}, order: "-calls", limit: 20},
	{name: Worst, about: "The legs that sounded worst, by the MOS of the whole leg.", limit: 100, columns: []Column{
		{"call", "text", "Call", "Id of the call."}, {"began", "time", "Began", "When the call began."}, {"leg", "count", "Leg", "Number of the leg."},
		{"stream", "text", "Stream", "in: what the party sent; out: what it was sent, as it reported."}, {"party", "text", "Party", "trunk:ID or user:ID."},
		{"number", "text", "Number", "That was called."}, {"codec", "text", "Codec", "Of the stream."}, {"mos", "score", "MOS", "1 to 4.5; with the delay where it is known."},
		{"loss_percent", "percent", "Loss %", "Packets lost."}, {"jitter", "ms", "Jitter", "95th percentile, ms."}, {"rtt", "ms", "Round trip", "ms."},
		{"xr_mos", "score", "MOS of the party", "As it measured itself what it was sent (RFC 3611)."}, {"xr_discard", "percent", "Discarded %", "By the party's jitter buffer, as it says."},
		{"skew", "number", "Clock ppm", "By which the party's clock runs faster than ours, where that is certain."},
		{"one_way", "flag", "One way", "The party was never heard."}, {"no_media", "flag", "No media", "Nothing came."}}},
	{name: Concurrency, about: "Calls at a time, in steps: the most, the mean, and how many began.", limit: MaxRows, columns: []Column{
		{"at", "time", "At", "Beginning of the step."}, {"peak", "count", "Peak", "Most calls at a time, ringing ones among them."},
		{"mean", "number", "Mean", "Calls at a time, over the step."}, {"began", "count", "Began", "Calls that began in the step."},
		{"peak_rate", "count", "Peak rate", "Most calls that began within one second."}}},
}

// Summary tells of a report that can be asked for.
type Summary struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	By      []string `json:"by"` // if nobody says
	Columns []Column `json:"columns"`
}

// Reports are all that there are.
func Reports() []Summary {
	var out []Summary
	for _, d := range definitions {
		q := Query{Name: d.name, By: d.by}
		out = append(out, Summary{d.name, d.about, append([]string{}, d.by...), q.columns(d)})
	}
	return out
}

// Names of all reports.
func Names() []string {
	var out []string
	for _, d := range definitions {
		out = append(out, d.name)
	}
	return out
}

func find(name string) (definition, bool) {
	for _, d := range definitions {
		if d.name == name {
			return d, true
		}
	}
	return definition{}, false
}

// Column is one of a report. Kind says what its values are: text, time (RFC 3339), count, seconds, minutes, ms, percent, score, number
// (JSON numbers), money (decimal strings), flag.
type Column struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Title string `json:"title"`
	About string `json:"about"`
}

// dimension is a way to tell calls apart.
type dimension struct {
	name, about string
	cube        bool   // the rollups have it as a dimension of their own
	unit        string // of time, as Postgres names it
	kind        string
}

var dimensions = []dimension{
	{name: "trunk", about: "Trunk: its tries are counted, not the calls.", cube: true, kind: "text"},
	{name: "account", about: "Who pays: user:ID, tenant:ID or trunk:ID.", cube: true, kind: "text"},
	{name: "destination", about: "As the deck names it, else + and the country's code; empty: a number of ours.", cube: true, kind: "text"},
	{name: "codec", about: "Of the leg that answered.", cube: true, kind: "text"},
	{name: "cause", about: "Q.850 cause and SIP status of the end.", cube: true, kind: "text"},
	{name: "tenant", about: "Tenant.", kind: "text"},
	{name: "direction", about: "in, out, internal.", kind: "text"},
	{name: "sell_currency", about: "Currency that calls were sold in; such as EUR+USD of calls with both, whose own amounts aren't added up; empty: not sold.", kind: "text"},
	{name: "buy_currency", about: "Currency that calls were bought in, likewise.", kind: "text"},
	{name: "house", about: "Currency of the house in which sums of money are, apart where it was changed; empty: calls without a price.", kind: "text"},
	{name: "hour", about: "Hour in which calls began.", unit: "hour", kind: "time"},
	{name: "day", about: "Day on which calls began.", unit: "day", kind: "time"},
	{name: "month", about: "Month in which calls began.", unit: "month", kind: "time"},
	{name: "hour_of_day", about: "0 to 23.", unit: "of_day", kind: "count"},
}

func names(list []dimension) []string {
	var out []string
	for _, d := range list {
		out = append(out, d.name)
	}
	return out
}

// Dimensions are the names that By may have.
func Dimensions() []string { return names(dimensions) }

func dimensionOf(name string) dimension {
	for _, d := range dimensions {
		if d.name == name {
			return d
		}
	}
	return dimension{}
}

func isTime(name string) bool { return dimensionOf(name).unit != "" }

func columnNames(list []Column) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Name)
	}
	return out
}

// columns of a query's answer: its dimensions, then its measures.
func (q *Query) columns(def definition) []Column {
	if def.measures == nil {
		return def.columns
	}
	var out []Column
	for _, b := range q.By {
		d := dimensionOf(b)
		out = append(out, Column{b, d.kind, title(b), d.about})
	}
	for _, m := range q.measures(def) {
		out = append(out, m.column)
	}
	return out
}

func title(name string) string {
	return strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_", " ")
}
