package report

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

// A report in all forms: money stays decimal, what a spreadsheet would take for a formula isn't one any more, numbers stay numbers, what
// has no value is empty, and nothing moves a terminal's cursor.
func TestWrite(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 10, 25, 2, 0, 0, 0, time.UTC)
	r := &Report{Query: Query{Name: Money, From: at, To: at.Add(time.Hour), Zone: zone, By: []string{"destination"}}, Source: FromRollups,
		Columns: []Column{{"destination", "text", "Destination", ""}, {"margin", "money", "Margin", ""}, {"asr", "percent", "ASR %", ""}},
		Rows: [][]any{{`=cmd|' /C calc'!A0`, decimal.RequireFromString("-0.000000001"), nil}, {"+49", decimal.RequireFromString("12345678901234567890.123456789"), number(decimal.RequireFromString("12.5"))},
			{"a\x1b[2J\",b", decimal.Zero, nil}, {"@x", decimal.Zero, nil}, {"-x", decimal.Zero, nil}, {"＝x", decimal.Zero, nil}, {"\n=x", decimal.Zero, nil}},
		Total: []any{nil, decimal.RequireFromString("1.5"), nil}}
	for format, want := range map[string]string{
		CSV:    "destination,margin,asr\n'=cmd|' /C calc'!A0,-0.000000001,\n'+49,12345678901234567890.123456789,12.5\n\"a\x1b[2J\"\",b\",0,\n'@x,0,\n'-x,0,\n'＝x,0,\n\"'\n=x\",0,\n",
		NDJSON: `{"destination":"+49","margin":"12345678901234567890.123456789","asr":12.5}` + "\n",
		JSON:   `"rows":[{"destination":"=cmd|' /C calc'!A0","margin":"-0.000000001","asr":null},`,
		Table:  "total",
	} {
		var b bytes.Buffer
		if err := r.Write(&b, format); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s\nexpected\n%s", format, err, b.String(), want)
		}
		if format == Table && strings.Contains(b.String(), "\x1b") {
			t.Errorf("a table with an escape: %q", b.String())
		}
		if format == JSON && !strings.Contains(b.String(), `"from":"2026-10-25T03:00:00+01:00"`) {
			t.Errorf("times aren't of the zone: %s", b.String())
		}
	}
	if err := r.Write(&bytes.Buffer{}, "xml"); err == nil {
		t.Error("xml was written")
	}
}

// The curve has the most at a time, the mean and the beginnings of each step, also of steps in which nothing happens, and ends with
// what begins behind it.
func TestSweep(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s := newSweep(&Query{From: from, To: from.Add(35 * time.Second), Zone: time.UTC, Step: 10 * time.Second})
	for _, x := range []struct {
		ms    int
		step  int64
		fresh bool
	}{{0, 1, false}, {1000, 1, true}, {1500, 1, true}, {5000, -1, false}, {5000, 1, true}, {25_000, -1, false}, {25_000, -1, false}, {30_000, -1, false}} {
		s.move(from.Add(time.Duration(x.ms)*time.Millisecond), x.step, x.fresh)
	}
	s.pass(from.Add(35 * time.Second))
	var got []string
	for _, row := range s.rows {
		var cells []string
		for _, v := range row[1:] {
			cells = append(cells, text(v))
		}
		got = append(got, strings.Join(cells, " "))
	}
	// 0 to 1 s: 1, to 1.5 s: 2, to 10 s: 3.
	if want := "3 2.75 3 2, 3 3 0 0, 3 2 0 0, 1 0 0 0"; strings.Join(got, ", ") != want {
		t.Errorf("%s, expected %s", strings.Join(got, ", "), want)
	}
}

// The nearest rank of delays by class; each class's middle is less than 0.8 % from what is in it, and up to 128 ms that itself.
func TestPercentile(t *testing.T) {
	var s sums
	if s.delay.percentile(50) != nil || s.delays().percentile(50) != nil {
		t.Error("there is a percentile of nothing")
	}
	for class, n := range map[int64]int64{10: 5, 20: 4, 100: 1} {
		if err := s.delays().put(class, n); err != nil {
			t.Fatal(err)
		}
	}
	for percent, want := range map[int64]int64{1: 10, 50: 10, 51: 20, 90: 20, 95: 100, 100: 100} {
		if got := s.delay.percentile(percent); got != want {
			t.Errorf("p%d is %v, expected %d", percent, got, want)
		}
	}
	class := func(ms int64) int64 {
		doublings := int64(max(0, bits.Len64(uint64(ms))-7))
		return min(64*doublings+ms>>doublings, classes-1)
	}
	for ms := range int64(2 << 20) {
		got, most := middle(class(ms)), ms*8
		if ms < exactDelays {
			most = 0
		}
		if 1000*max(got-ms, ms-got) > most {
			t.Fatalf("%d ms are told as %d", ms, got)
		}
	}
	if err := s.delays().put(classes, 1); err == nil {
		t.Error("there is no such class")
	}
}

// What the rollups have is read as Postgres sends it; what was taken away from elsewhere is less than none until both are added.
func TestBins(t *testing.T) {
	send := func(bins ...int64) []byte {
		b := make([]byte, arrayHead)
		for _, x := range bins {
			b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(x))
		}
		return b
	}
	var d delays
	for _, b := range [][]byte{send(0<<40+3, 1<<40-2, 1023<<40+5), send(1<<40 + 2), make([]byte, 12)} {
		if err := d.putBins(b); err != nil {
			t.Fatal(err)
		}
	}
	if d.n[0] != 3 || d.n[1] != 0 || d.n[1023] != 5 || d.all != 8 || d.percentile(50) != middle(1023) {
		t.Errorf("%v %v %v of %v", d.n[0], d.n[1], d.n[1023], d.all)
	}
	if d.putBins(make([]byte, 25)) == nil || d.putBins(send(1024<<40+1)) == nil {
		t.Error("what is no array of bins is taken")
	}
}
