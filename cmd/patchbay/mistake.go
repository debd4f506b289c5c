package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mistake is one thing wrong in the settings: where, what stands there, and what was expected.
type Mistake struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"` // from 1; 0 = the file as a whole
	Column   int    `json:"column,omitempty"`
	Field    string `json:"field,omitempty"` // trunks[1].transport
	Value    string `json:"value,omitempty"` // as written, before ${NAME} is put in; *** for a secret
	Problem  string `json:"problem"`         // what was expected instead
	Warning  bool   `json:"warning,omitempty"`
	hasValue bool
}

func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", m.Line, m.Column)
	}
	b.WriteString(": ")
	if m.Warning {
		b.WriteString("warning: ")
	}
	switch {
	case m.Field != "" && m.hasValue:
		fmt.Fprintf(&b, "%s is %s: ", m.Field, quoted(m.Value))
	case m.Field != "":
		fmt.Fprintf(&b, "%s: ", m.Field)
	}
	b.WriteString(m.Problem)
	return b.String()
}

// Mistakes are all that is wrong with one file, in the order of its lines.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].String()
	}
	return strings.Join(lines, "\n")
}

// quoted keeps a value to one short, printable line.
func quoted(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}

// oneOf words a choice: "a, b or c".
func oneOf(choices []string) string {
	switch n := len(choices); n {
	case 0:
		return "nothing (there is none)"
	case 1:
		return choices[0]
	default:
		return strings.Join(choices[:n-1], ", ") + " or " + choices[n-1]
	}
}

// meant suggests the choice that is spelt most like the word, or nothing when none is near.
func meant(word string, choices []string) string {
	best, at := "", max(1, len(word)/3)+1
	for _, c := range choices {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func sorted(m Mistakes) Mistakes {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return m
}
