package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// sums are what the rollups add up.
type sums struct {
	n     [whole]int64
	money [numeric]decimal.Decimal
	house map[string]*[2]decimal.Decimal // sold and bought, by the currency of the house that it is in: never added to another's
	delay *delays                        // nil: none were asked for
}

// Whole numbers that are summed, and decimals. The names are the rollups' columns.
const (
	sCalls = iota
	sSeizures
	sAnswered
	sEffective
	sBill
	sUnpriced
	sLosses
	sMeasured
	sOneWay
	sFAS
	sPackets
	sLost
	sJitters
	whole
)

const (
	sSell = iota
	sBuy
	sSellOwn
	sBuyOwn
	sMOS
	sJitter
	numeric
)

// Of each sum: the rollups' column, and the same of one call.
var wholeColumns = [whole][2]string{{"calls", "1"}, {"seizures", "seizures"}, {"answered", "answered"}, {"effective", "effective"}, {"bill_ms", "bill_ms"},
	{"unpriced", "unpriced"}, {"losses", "losses"}, {"mos_n", "(mos IS NOT NULL)::int"}, {"one_way", "one_way"}, {"fas", "fas"}, {"pkts", "pkts"}, {"lost", "lost"},
	{"jitter_n", "(jitter_ms IS NOT NULL)::int"}}

var numericColumns = [numeric][2]string{{"sell_house", "sell_house"}, {"buy_house", "buy_house"}, {"sell", "sell"}, {"buy", "buy"}, {"mos", "mos"}, {"jitter_ms", "jitter_ms"}}

func (s *sums) add(o *sums) {
	for i := range s.n {
		s.n[i] += o.n[i]
	}
	for i := range s.money {
		s.money[i] = s.money[i].Add(o.money[i])
	}
	for code, x := range o.house {
		s.inHouse(code, x[sSell], x[sBuy])
	}
	if o.delay != nil {
		s.delays().add(o.delay)
	}
}

func (s *sums) delays() *delays {
	if s.delay == nil {
		s.delay = &delays{}
	}
	return s.delay
}

// inHouse adds money in a currency of the house; of one call that has two, as CHF+EUR, nothing is known but that.
func (s *sums) inHouse(codes string, sell, buy decimal.Decimal) {
	if s.house == nil {
		s.house = map[string]*[2]decimal.Decimal{}
	}
	for code := range strings.SplitSeq(codes, "+") {
		x := s.house[code]
		if x == nil {
			x = &[2]decimal.Decimal{}
			s.house[code] = x
		}
		x[sSell], x[sBuy] = x[sSell].Add(sell), x[sBuy].Add(buy)
	}
}

// currency is that of the house's money: of several, as CHF+EUR, there is no sum. "" = there is no money.
func (s *sums) currency() string { return strings.Join(slices.Sorted(maps.Keys(s.house)), "+") }

// one has the money of the only currency of the house where the sums of measures are.
func (s *sums) one() {
	for _, x := range s.house {
		s.money[sSell], s.money[sBuy] = x[sSell], x[sBuy]
	}
}

// measure is a column of sums.
type measure struct {
	column Column
	n      []int // sums that it is made of
	money  []int
	delay  bool
	value  func(*sums) any // nil = there is nothing to divide by
	in     string          // dimension that has the currency of an amount that isn't in the house's
}

var measures = []measure{
	{column: Column{"calls", "count", "Calls", "Calls, or of trunks tries, that have ended."}, n: []int{sCalls}, value: func(s *sums) any { return s.n[sCalls] }},
	{column: Column{"seizures", "count", "Seizures", "Of them those for which somebody was called."}, n: []int{sSeizures}, value: func(s *sums) any { return s.n[sSeizures] }},
	{column: Column{"answered", "count", "Answered", "Of them those that were answered."}, n: []int{sAnswered}, value: func(s *sums) any { return s.n[sAnswered] }},
	{column: Column{"effective", "count", "Effective", "Seizures that reached their addressee: answered, busy, no answer, refused by it."}, n: []int{sEffective}, value: func(s *sums) any { return s.n[sEffective] }},
	{column: Column{"asr", "percent", "ASR %", "Answer-seizure ratio (ITU-T E.411): answered of seizures."}, n: []int{sSeizures, sAnswered}, value: func(s *sums) any { return percent(s.n[sAnswered], s.n[sSeizures]) }},
	{column: Column{"ner", "percent", "NER %", "Network effectiveness ratio (ITU-T E.425): effective of seizures."}, n: []int{sSeizures, sEffective}, value: func(s *sums) any { return percent(s.n[sEffective], s.n[sSeizures]) }},
	{column: Column{"acd", "seconds", "ACD s", "Average call duration: seconds of talk of an answered call."}, n: []int{sAnswered, sBill}, value: func(s *sums) any { return ratio(s.n[sBill], s.n[sAnswered]*1000, 1) }},
	{column: Column{"minutes", "minutes", "Minutes", "Of talk."}, n: []int{sBill}, value: func(s *sums) any { return ratio(s.n[sBill], 60_000, 3) }},
	{column: Column{"pdd_p50", "ms", "PDD p50 ms", "Post-dial delay that half of the calls don't exceed; above 128 ms to 0.8 %."}, delay: true, value: func(s *sums) any { return s.delay.percentile(50) }},
	{column: Column{"pdd_p95", "ms", "PDD p95 ms", "Post-dial delay that 95 of 100 calls don't exceed; likewise."}, delay: true, value: func(s *sums) any { return s.delay.percentile(95) }},
	{column: Column{"currency", "text", "Currency", "Of what was sold and bought, and of the margin: that of the house. Of calls from before and after it was changed, as CHF+EUR, there is no sum: tell them apart by house."}, value: func(*sums) any { return nil }},
	{column: Column{"sell", "money", "Sold", "What calls were sold for."}, money: []int{sSell}, value: func(s *sums) any { return s.money[sSell] }},
	{column: Column{"buy", "money", "Bought", "What calls cost us."}, money: []int{sBuy}, value: func(s *sums) any { return s.money[sBuy] }},
	{column: Column{"margin", "money", "Margin", "Sold less bought."}, money: []int{sSell, sBuy}, value: func(s *sums) any { return s.money[sSell].Sub(s.money[sBuy]) }},
	{column: Column{"margin_percent", "percent", "Margin %", "Margin of what was sold."}, money: []int{sSell, sBuy}, value: func(s *sums) any {
		if !s.money[sSell].IsPositive() {
			return nil
		}
		return number(s.money[sSell].Sub(s.money[sBuy]).Mul(decimal.New(100, 0)).DivRound(s.money[sSell], 2))
	}},
	{column: Column{"sell_amount", "money", "Sold", "What calls were sold for, in the currency that stands beside."}, money: []int{sSellOwn}, in: "sell_currency", value: func(s *sums) any { return s.money[sSellOwn] }},
	{column: Column{"buy_amount", "money", "Bought", "What calls cost us, in the currency that stands beside."}, money: []int{sBuyOwn}, in: "buy_currency", value: func(s *sums) any { return s.money[sBuyOwn] }},
	{column: Column{"unpriced", "count", "Unpriced", "Ratings without a price, or in a currency without a rate of exchange: they count as nothing."}, n: []int{sUnpriced}, value: func(s *sums) any { return s.n[sUnpriced] }},
	{column: Column{"losses", "count", "Losses", "Calls that cost more than they were sold for."}, n: []int{sLosses}, value: func(s *sums) any { return s.n[sLosses] }},
	{column: Column{"measured", "count", "Measured", "Calls with a MOS."}, n: []int{sMeasured}, value: func(s *sums) any { return s.n[sMeasured] }},
	{column: Column{"mos", "score", "MOS", "Mean of the calls', of trunks of their legs'."}, n: []int{sMeasured}, money: []int{sMOS}, value: func(s *sums) any { return mean(s.money[sMOS], s.n[sMeasured], 2) }},
	{column: Column{"loss_percent", "percent", "Loss %", "Packets that never came, of those that should have."}, n: []int{sPackets, sLost}, value: func(s *sums) any { return percent(s.n[sLost], s.n[sPackets]+s.n[sLost]) }},
	{column: Column{"jitter", "ms", "Jitter ms", "Mean of the calls'."}, n: []int{sJitters}, money: []int{sJitter}, value: func(s *sums) any { return mean(s.money[sJitter], s.n[sJitters], 1) }},
	{column: Column{"one_way", "count", "One way", "Calls with a party that was never heard."}, n: []int{sOneWay}, value: func(s *sums) any { return s.n[sOneWay] }},
	{column: Column{"fas", "count", "FAS", "Suspects of false answer supervision: nothing came behind the answer."}, n: []int{sFAS}, value: func(s *sums) any { return s.n[sFAS] }},
}

// measures of a query. Amounts in other currencies than the house's are told beside the currency.
func (q *Query) measures(def definition) []measure {
	list := slices.Clone(def.measures)
	if def.name == Money {
		for _, side := range []string{"sell", "buy"} {
			if slices.Contains(q.By, side+"_currency") {
				list = append(list, side+"_amount")
			}
		}
	}
	var out []measure
	for _, name := range list {
		for _, m := range measures {
			if m.column.Name == name {
				out = append(out, m)
			}
		}
	}
	return out
}

// of is the value that a row has: of amounts in other currencies only where the row is of one.
func (q *Query) of(m measure, g *group) any {
	switch {
	case m.column.Name == "currency":
		if code := cmp.Or(g.sums.currency(), q.House); code != "" {
			return code
		}
		return nil
	case len(g.sums.house) > 1 && slices.ContainsFunc(m.money, func(i int) bool { return i == sSell || i == sBuy }):
		return nil
	case m.in != "":
		if code, ok := g.key[slices.Index(q.By, m.in)].(string); !ok || strings.Contains(code, "+") {
			return nil
		}
	}
	return m.value(&g.sums)
}

// number is a decimal that JSON has as a number: no money.
type number decimal.Decimal

func (n number) String() string               { return decimal.Decimal(n).String() }
func (n number) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

func percent(part, of int64) any { return ratio(part*100, of, 2) }

func ratio(a, b int64, digits int32) any { return mean(decimal.NewFromInt(a), b, digits) }

func mean(sum decimal.Decimal, n int64, digits int32) any {
	if n == 0 {
		return nil
	}
	return number(sum.DivRound(decimal.NewFromInt(n), digits))
}
