package rating_test

import (
	"os"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/billing/rating"
)

func read(t testing.TB, s string) ([]rating.Rate, error) {
	t.Helper()
	return rating.ReadCSV(strings.NewReader(s))
}

func TestReadCSV(t *testing.T) {
	for name, text := range map[string]string{
		"commas":                  "prefix,destination,price,first,next,connect_fee,blocked\n+49,Germany,0.0123,60,1,,\n49900,Premium,1,,,0.5,yes\n",
		"semicolons, CRLF, a BOM": "\xEF\xBB\xBFPrefix;Price;Destination;first;next;connect_fee;blocked\r\n49;0.0123;\"Germany\";60;1;;\r\n49900;1;Premium;;;0.50;true\r\n",
	} {
		rows, err := read(t, text)
		if err != nil || len(rows) != 2 {
			t.Fatalf("%s: %v %v", name, rows, err)
		}
		a, b := rows[0], rows[1]
		if a.Prefix != "49" || a.Destination != "Germany" || !a.Price.Equal(money("0.0123")) || a.First != 60 || a.Next != 1 || a.Blocked {
			t.Errorf("%s: %+v", name, a)
		}
		if b.Prefix != "49900" || !b.Fee.Equal(money("0.5")) || b.First != 1 || b.Next != 1 || !b.Blocked {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

// TestMistakesOfCSV: an error names line, column, value and what was expected.
func TestMistakesOfCSV(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                   "line 1: the file is empty",
		"prefix,price\n":                                     "line 1: there are no rows",
		"prefix,cost\n49,1\n":                                `line 1: column "cost": expected one of blocked, connect_fee, destination, first, free_seconds, from, max_cost, min_charge, min_seconds, next, prefix, price, window`,
		"prefix,prefix,price\n":                              `line 1: column "prefix": expected each column once`,
		"prefix\n49\n":                                       "line 1: there is no column price",
		"prefix,price\n49\n":                                 "line 2: 1 cells, expected 2",
		"prefix,price\n49,1\n4x,1\n":                         `line 3: prefix "4x": expected 1 to 18 digits, with or without +`,
		"prefix,price\n,1\n":                                 `line 2: prefix "": expected 1 to 18 digits`,
		"prefix,price\n49,\n":                                `line 2: price "": expected a decimal number`,
		"prefix;price\n49;0,5\n":                             `line 2: price "0,5": expected a decimal number such as 0.0123`,
		"prefix,price\n49,-1\n":                              `line 2: price "-1"`,
		"prefix,price\n49,1e5\n":                             `line 2: price "1e5"`,
		"prefix,price\n49,0.0000000001\n":                    `line 2: price "0.0000000001"`,
		"prefix,price,first\n49,1,0\n":                       `line 2: first "0": expected 1 to 86400 seconds`,
		"prefix,price,next\n49,1,+6\n":                       `line 2: next "+6": expected 1 to 86400 seconds`,
		"prefix,price,blocked\n49,1,maybe\n":                 `line 2: blocked "maybe": expected yes or no`,
		"prefix,price\n49,1\n50,2\n+49,3\n":                  `line 4: prefix "49": expected each prefix once for a window and step; it stands in line 2`,
		"prefix,price,window\n49,1,peak\n":                   `line 2: window "peak": expected the prefix in a row without a window too`,
		"prefix,price,from\n49,1,60\n":                       `line 2: from "60": expected the prefix in a row from second 0 too`,
		"prefix,price,from,connect_fee\n49,1,,\n49,1,60,1\n": `line 3: from "60": expected of a step only price and next`,
		"prefix,price,min_charge,max_cost\n49,1,2,1\n":       `line 2: min_charge "2": expected no more than max_cost, 1`,
		"prefix,price\n\"49,1\n":                             "line 2: column 7",
		"prefix,price,destination\n49,1," + strings.Repeat("x", 201):   "expected at most 200 bytes of UTF-8",
		"prefix,price,destination\n49,1,\xff\n":                        "expected at most 200 bytes of UTF-8",
		"prefix,price\n" + strings.Repeat("x,1\n", 30):                 "and maybe more",
		"prefix,price\n\n\n# comment\n49,1\n":                          "line 4: 1 cells",
		"prefix,price,window,from\n49,1,,\n49,1,peak,5\n49,1,peak,9\n": `line 3: from "5": expected the prefix in a row from second 0 too`,
	} {
		rows, err := read(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, %v; expected %q", text, rows, err, want)
			continue
		}
		if n := strings.Count(err.Error(), "\n"); n > 20 {
			t.Errorf("%d mistakes at once", n)
		}
	}
}

func TestDiff(t *testing.T) {
	before, err := read(t, "prefix,price,blocked,next\n1,1,,1\n2,1,,1\n3,0.03,,1\n4,1,,1\n5,1,yes,1\n6,1,,1\n7,0,,1\n")
	if err != nil {
		t.Fatal(err)
	}
	after, err := read(t, "prefix,price,blocked,next\n9,1,,1\n7,1,,1\n1,1,,1\n3,0.02,,1\n4,1,yes,1\n5,1,,1\n6,1,,6\n")
	if err != nil {
		t.Fatal(err)
	}
	r := rating.Diff(before, after)
	want := map[string]rating.Change{"2": rating.Removed, "3": rating.Cheaper, "4": rating.Block, "5": rating.Unblock, "6": rating.Other, "7": rating.Dearer, "9": rating.New}
	if len(r.Rows) != len(want) || r.Same != 1 {
		t.Errorf("%+v", r)
	}
	for _, d := range r.Rows {
		if want[d.Prefix] != d.Change || r.Counts[d.Change] != 1 {
			t.Errorf("%+v, expected %s", d, want[d.Prefix])
		}
		if d.Prefix == "3" && (d.Percent == nil || d.Percent.String() != "-33.3") || d.Prefix == "7" && d.Percent != nil {
			t.Errorf("%s changed by %v percent", d.Prefix, d.Percent)
		}
	}
	if r := rating.Diff(nil, after); r.Counts[rating.New] != len(after) {
		t.Errorf("against nothing: %+v", r.Counts)
	}
}

// FuzzReadCSV: whatever a file holds, its rows make a deck, or its mistakes have a line.
func FuzzReadCSV(f *testing.F) {
	f.Add("prefix,price\n49,1\n")
	f.Fuzz(func(t *testing.T, s string) {
		rows, err := rating.ReadCSV(strings.NewReader(s))
		if err != nil {
			if list, ok := err.(rating.Mistakes); !ok || len(list) == 0 || list[0].Line < 1 {
				t.Errorf("%v, expected mistakes with lines", err)
			}
			return
		}
		d, err := rating.NewDeck("d", 1, "EUR", rows)
		if err != nil || d.Len() != len(rows) {
			t.Errorf("rows without a mistake make no deck: %v", err)
		}
		for _, r := range rows {
			if got, ok := d.Match(r.Prefix); !ok || got.Prefix != r.Prefix {
				t.Errorf("prefix %s isn't found", r.Prefix)
			}
		}
	})
}

func TestSampleDeck(t *testing.T) {
	f, err := os.Open("testdata/sample.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := rating.ReadCSV(f)
	if err != nil || len(rows) < 5 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
