package numbering

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rule rewrites the numbers that it fits.
type Rule struct {
	Match   string // exact, a prefix followed by *, or /regular expression/ for the whole number (RE2); "" = any
	Strip   int    // characters taken off the front
	Prefix  string // then put in front
	Replace string // or the whole number; $1 is the expression's first group
}

// Bounds of a rule.
const (
	maxPattern = 256 // bytes of an expression
	maxStrip   = 32
)

// Check says what is wrong with a rule: the field, its value, and what was expected.
func (r Rule) Check() error {
	_, err := r.compile()
	return err
}

// RuleError names the field of a rule that can't be used.
type RuleError struct {
	Field   string // match, strip, prefix, replace
	Problem string
}

func (e *RuleError) Error() string { return e.Field + " " + e.Problem }

// rule is a Rule that is ready.
type rule struct {
	Rule
	expr *regexp.Regexp
}

func (r Rule) compile() (rule, error) {
	c := rule{Rule: r}
	bad := func(field, format string, args ...any) (rule, error) {
		return c, &RuleError{field, fmt.Sprintf(format, args...)}
	}
	switch m := r.Match; {
	case len(m) > maxPattern:
		return bad("match", "has %d characters: expected at most %d", len(m), maxPattern)
	case m == "" || m[0] != '/':
		if p := strings.TrimSuffix(m, "*"); p != "" && !userText(p) {
			return bad("match", "%q: expected a number, a prefix such as 0*, or /regular expression/", m)
		}
	case len(m) < 3 || !strings.HasSuffix(m, "/"):
		return bad("match", `%q: expected a regular expression between two slashes, such as /0([1-9]\d+)/`, m)
	default:
		if _, err := regexp.Compile(m[1 : len(m)-1]); err != nil { // by itself first: the error shows what is written
			return bad("match", "%q: expected a regular expression: %v", m, err)
		}
		var err error
		if c.expr, err = regexp.Compile(`^(?:` + m[1:len(m)-1] + `)$`); err != nil {
			return bad("match", "%q: expected a regular expression: %v", m, err)
		}
	}
	switch {
	case r.Strip < 0 || r.Strip > maxStrip:
		return bad("strip", "%d: expected 0 to %d characters", r.Strip, maxStrip)
	case r.Replace != "" && (r.Strip != 0 || r.Prefix != ""):
		return bad("replace", "%q: expected either replace, or strip and prefix", r.Replace)
	case r.Prefix != "" && !userText(r.Prefix):
		return bad("prefix", "%q: expected digits, +, * or #, or letters of a SIP user name", r.Prefix)
	case r.Replace != "" && !userText(groups.ReplaceAllString(r.Replace, "")) && groups.ReplaceAllString(r.Replace, "") != "":
		return bad("replace", "%q: expected a number, with $1 for the first group", r.Replace)
	case r.Replace == "" && r.Prefix == "" && r.Strip == 0:
		return bad("strip", "is missing: expected strip, prefix or replace, since the rule changes nothing")
	}
	for _, m := range groups.FindAllStringSubmatch(r.Replace, -1) {
		n, err := strconv.Atoi(strings.Trim(m[1], "{}"))
		switch {
		case c.expr == nil:
			return bad("replace", "%q: has %s, but match %q isn't a regular expression", r.Replace, m[0], r.Match)
		case err != nil || n > c.expr.NumSubexp():
			return bad("replace", "%q: has %s, but match %s has %d groups", r.Replace, m[0], r.Match, c.expr.NumSubexp())
		}
	}
	return c, nil
}

var groups = regexp.MustCompile(`\$(\d+|\{\w*\}|\w*)`)

// apply uses the first rule that fits. A number too long for any is left alone.
func apply(list []rule, number string) Result {
	if len(number) > maxNumber {
		return Result{number, -1}
	}
	for i, r := range list {
		if n, ok := r.rewrite(number); ok {
			return Result{n, i}
		}
	}
	return Result{number, -1}
}

func (r rule) rewrite(n string) (string, bool) {
	switch prefix, isPrefix := strings.CutSuffix(r.Match, "*"); {
	case r.expr != nil:
		m := r.expr.FindStringSubmatchIndex(n)
		if m == nil {
			return "", false
		}
		if r.Replace != "" {
			return string(r.expr.ExpandString(nil, r.Replace, n, m)), true
		}
	case r.Match == "":
	case isPrefix && !strings.HasPrefix(n, prefix), !isPrefix && n != r.Match:
		return "", false
	}
	if r.Replace != "" {
		return r.Replace, true
	}
	return r.Prefix + n[min(r.Strip, len(n)):], true
}

// userText tells what may stand in the user part of a SIP URI, # included (it is escaped there).
func userText(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.!~*'()&=+,#", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxNumber
}
