package rating

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// Bounds of a file of prices.
const (
	maxRows     = 5_000_000
	maxMistakes = 20
	maxSeconds  = 24 * 3600
	maxText     = 200
)

// Mistake is something wrong in a file of prices.
type Mistake struct {
	Line     int
	Column   string // "" = the line as a whole
	Value    string
	Expected string
}

func (m Mistake) Error() string {
	if m.Column == "" {
		return fmt.Sprintf("line %d: %s", m.Line, m.Expected)
	}
	return fmt.Sprintf("line %d: %s %q: expected %s", m.Line, m.Column, m.Value, m.Expected)
}

// Mistakes are the first of those that a file has.
type Mistakes []Mistake

func (l Mistakes) Error() string {
	lines := make([]string, len(l))
	for i, m := range l {
		lines[i] = m.Error()
	}
	if len(l) >= maxMistakes {
		lines = append(lines, "and maybe more")
	}
	return strings.Join(lines, "\n")
}

// field reads a cell into a row; what it returns was expected, "" if the cell is fine.
type field func(r *Rate, v string) string

// fields are the columns of a file, of which prefix and price must be there.
func fields() map[string]field {
	return map[string]field{
		"prefix": func(r *Rate, v string) string {
			r.Prefix = strings.TrimPrefix(v, "+")
			if err := checkPrefix(r.Prefix); err != nil {
				return "1 to 18 digits, with or without +"
			}
			return ""
		},
		"destination":  func(r *Rate, v string) string { r.Destination = v; return "" },
		"window":       func(r *Rate, v string) string { r.Window = v; return "" },
		"price":        func(r *Rate, v string) string { return money(&r.Price, v) },
		"connect_fee":  func(r *Rate, v string) string { return money(&r.Fee, v) },
		"min_charge":   func(r *Rate, v string) string { return money(&r.MinCharge, v) },
		"max_cost":     func(r *Rate, v string) string { return money(&r.MaxCost, v) },
		"first":        func(r *Rate, v string) string { return seconds(&r.First, v, 1) },
		"next":         func(r *Rate, v string) string { return seconds(&r.Next, v, 1) },
		"min_seconds":  func(r *Rate, v string) string { return seconds(&r.MinSeconds, v, 0) },
		"free_seconds": func(r *Rate, v string) string { return seconds(&r.Free, v, 0) },
		"from":         func(r *Rate, v string) string { return seconds(&r.From, v, 0) },
		"blocked": func(r *Rate, v string) string {
			switch strings.ToLower(v) {
			case "yes", "true", "1":
				r.Blocked = true
			case "no", "false", "0":
			default:
				return "yes or no"
			}
			return ""
		},
	}
}

// ParsePrice reads a decimal number of at most 9 digits before the point and 9 behind it, without a sign.
func ParsePrice(s string) (decimal.Decimal, error) {
	whole, part, dotted := strings.Cut(s, ".")
	if whole == "" || len(whole) > 9 || len(part) > amountDigits || dotted && part == "" || strings.Trim(whole+part, "0123456789") != "" {
		return decimal.Decimal{}, errors.New("expected a decimal number such as 0.0123, with at most 9 digits on each side of the point")
	}
	return decimal.NewFromString(s)
}

func money(to *decimal.Decimal, v string) string {
	p, err := ParsePrice(v)
	if err != nil {
		return strings.TrimPrefix(err.Error(), "expected ")
	}
	if !p.IsZero() {
		*to = p
	}
	return ""
}

func seconds(to *int, v string, least int) string {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || int(n) < least || n > maxSeconds || v[0] == '+' {
		return fmt.Sprintf("%d to %d seconds", least, maxSeconds)
	}
	*to = int(n)
	return ""
}

// ReadCSV reads the prices of a deck. The first line names the columns, in any order: prefix and price, and if need be
// destination, first, next (1 if there are none), connect_fee, min_charge, min_seconds, free_seconds, max_cost, window, from and
// blocked. Cells are split by commas or semicolons. What is wrong is told as Mistakes.
func ReadCSV(in io.Reader) ([]Rate, error) {
	buffered := bufio.NewReader(in)
	first, err := buffered.Peek(4096)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	if bytes.HasPrefix(first, []byte("\xEF\xBB\xBF")) {
		_, _ = buffered.Discard(3)
	}
	head, _, _ := bytes.Cut(first, []byte("\n"))
	r := csv.NewReader(buffered)
	r.ReuseRecord, r.FieldsPerRecord, r.TrimLeadingSpace = true, -1, true
	if !bytes.Contains(head, []byte(",")) && bytes.Contains(head, []byte(";")) {
		r.Comma = ';'
	}
	f := file{csv: r, seen: map[string]int{}}
	if !f.header() {
		return nil, f.wrong
	}
	for len(f.wrong) < maxMistakes && f.row() {
	}
	if len(f.wrong) == 0 {
		f.whole()
	}
	if len(f.wrong) > 0 {
		return nil, f.wrong
	}
	return f.rows, nil
}

// file is one that is being read.
type file struct {
	csv     *csv.Reader
	columns []string
	read    []field
	rows    []Rate
	lines   []int
	seen    map[string]int // line by prefix, window and step
	wrong   Mistakes
}

func (f *file) say(line int, column, value, expected string) {
	if len(f.wrong) < maxMistakes {
		f.wrong = append(f.wrong, Mistake{line, column, value, expected})
	}
}

// next reads a line; false at the end of the file, and where what follows makes no sense.
func (f *file) next() ([]string, int, bool) {
	cells, err := f.csv.Read()
	var bad *csv.ParseError
	switch {
	case err == nil:
		line, _ := f.csv.FieldPos(0)
		return cells, line, true
	case errors.As(err, &bad):
		f.say(bad.Line, "", "", fmt.Sprintf("column %d: %v: expected cells as in RFC 4180, quoted whole where they hold quotes", bad.Column, bad.Err))
	case err != io.EOF:
		f.say(len(f.rows)+2, "", "", "the file can't be read: "+err.Error())
	}
	return nil, 0, false
}

func (f *file) header() bool {
	known := fields()
	cells, line, ok := f.next()
	if !ok && len(f.wrong) == 0 {
		f.say(1, "", "", "the file is empty, expected a line that names the columns, such as prefix,destination,price,first,next")
	}
	for _, c := range cells {
		name := strings.ToLower(strings.TrimSpace(c))
		switch {
		case known[name] == nil:
			f.say(line, "column", clip(c), "one of "+strings.Join(sorted(known), ", "))
			continue
		case slices.Contains(f.columns, name):
			f.say(line, "column", name, "each column once")
		}
		f.columns = append(f.columns, name)
		f.read = append(f.read, known[name])
	}
	if ok && len(f.wrong) == 0 {
		for _, name := range [...]string{"prefix", "price"} {
			if !slices.Contains(f.columns, name) {
				f.say(line, "", "", "there is no column "+name+", expected one; it must have that name")
			}
		}
	}
	return len(f.wrong) == 0
}

// row reads one line; false when there is none left.
func (f *file) row() bool {
	cells, line, ok := f.next()
	if !ok {
		return false
	}
	if len(f.rows) >= maxRows {
		f.say(line, "", "", fmt.Sprintf("expected at most %d rows", maxRows))
		return false
	}
	if len(cells) != len(f.columns) {
		f.say(line, "", "", fmt.Sprintf("%d cells, expected %d, one for each column of the first line", len(cells), len(f.columns)))
		return true
	}
	var r Rate
	for i, v := range cells {
		v = strings.TrimSpace(v)
		if v == "" {
			if n := f.columns[i]; n == "prefix" || n == "price" {
				f.say(line, n, v, map[string]string{"prefix": "1 to 18 digits, with or without +", "price": "a decimal number such as 0.0123"}[n])
			}
			continue
		}
		if len(v) > maxText || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			f.say(line, f.columns[i], clip(v), fmt.Sprintf("at most %d bytes of UTF-8", maxText))
			continue
		}
		if expected := f.read[i](&r, strings.Clone(v)); expected != "" {
			f.say(line, f.columns[i], clip(v), expected)
		}
	}
	f.check(&r, line)
	f.rows, f.lines = append(f.rows, r), append(f.lines, line)
	return true
}

// check fills in what a row may leave out, and holds its cells against each other.
func (f *file) check(r *Rate, line int) {
	if r.From > 0 {
		if r.First != 0 || r.MinSeconds != 0 || r.Free != 0 || r.Blocked || !r.Fee.IsZero() || !r.MinCharge.IsZero() || !r.MaxCost.IsZero() {
			f.say(line, "from", strconv.Itoa(r.From), "of a step only price and next: what else a call costs is told by the row from second 0")
		}
	} else if r.First == 0 {
		r.First = 1
	}
	if r.Next == 0 {
		r.Next = 1
	}
	if r.MaxCost.IsPositive() && r.MinCharge.GreaterThan(r.MaxCost) {
		f.say(line, "min_charge", r.MinCharge.String(), "no more than max_cost, "+r.MaxCost.String())
	}
	key := r.Prefix + "\x00" + r.Window + "\x00" + strconv.Itoa(r.From)
	if before, twice := f.seen[key]; twice && r.Prefix != "" {
		f.say(line, "prefix", r.Prefix, fmt.Sprintf("each prefix once for a window and step; it stands in line %d", before))
	}
	f.seen[key] = line
}

// whole holds the rows against each other.
func (f *file) whole() {
	if len(f.rows) == 0 {
		f.say(1, "", "", "there are no rows, expected at least one prefix")
	}
	for i, r := range f.rows {
		if _, ok := f.seen[r.Prefix+"\x00\x000"]; !ok && r.Window != "" {
			f.say(f.lines[i], "window", r.Window, "the prefix in a row without a window too, for the rest of the time")
		} else if _, ok := f.seen[r.Prefix+"\x00"+r.Window+"\x000"]; !ok {
			f.say(f.lines[i], "from", strconv.Itoa(r.From), "the prefix in a row from second 0 too")
		}
	}
}

func sorted(m map[string]field) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
