package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// pattern says which called numbers a route takes: 4930123 is that number alone, +49* every number that begins with
// +49, * every number, /9\d{3}/ every number that the regular expression describes as a whole (RE2 syntax).
type pattern struct {
	text  string
	regex *regexp.Regexp // of /…/ only
}

const maxPattern = 256 // characters

func parsePattern(s string) (pattern, error) {
	switch {
	case s == "":
		return pattern{}, fmt.Errorf("is empty, expected a number, a prefix such as +49*, or /regular expression/")
	case len(s) > maxPattern:
		return pattern{}, fmt.Errorf("has %d characters, expected at most %d", len(s), maxPattern)
	case s[0] != '/':
		if p := strings.TrimSuffix(s, "*"); p != "" && !userPart(p) && !dialable(p) {
			return pattern{}, fmt.Errorf("expected a number, a prefix such as +49*, or /regular expression/")
		}
		return pattern{text: s}, nil
	case len(s) < 3 || !strings.HasSuffix(s, "/"):
		return pattern{}, fmt.Errorf("expected a regular expression between two slashes, such as /9\\d{3}/")
	}
	if _, err := regexp.Compile(s[1 : len(s)-1]); err != nil { // first by itself, for an error that shows what is written
		return pattern{}, fmt.Errorf("expected a regular expression: %w", err)
	}
	re, err := regexp.Compile(`^(?:` + s[1:len(s)-1] + `)$`)
	if err != nil {
		return pattern{}, fmt.Errorf("expected a regular expression: %w", err)
	}
	return pattern{text: s, regex: re}, nil
}

// match reports whether the number is one of the pattern's.
func (p pattern) match(number string) bool {
	if p.regex != nil {
		return p.regex.MatchString(number)
	}
	if prefix, ok := strings.CutSuffix(p.text, "*"); ok {
		return strings.HasPrefix(number, prefix)
	}
	return p.text == number
}

// covers reports that every number of q is one of p's, as far as that can be told: of two regular expressions only if
// they are the same.
func (p pattern) covers(q pattern) bool {
	switch {
	case p.text == q.text || p.text == "*":
		return true
	case q.regex != nil:
		return false
	case strings.HasSuffix(q.text, "*"):
		prefix, ok := strings.CutSuffix(p.text, "*")
		return p.regex == nil && ok && strings.HasPrefix(q.text, prefix)
	}
	return p.match(q.text)
}

var groupName = regexp.MustCompile(`\$(\$|\d+|\{\d+\}|\w*)`)

// checkReplace finds groups that the pattern doesn't have: they would vanish from the number.
func checkReplace(replace string, p pattern) error {
	for _, m := range groupName.FindAllStringSubmatch(replace, -1) {
		if m[1] == "$" {
			continue
		}
		n, err := strconv.Atoi(strings.Trim(m[1], "{}"))
		switch {
		case p.regex == nil:
			return fmt.Errorf("has %s, but %s isn't a regular expression", m[0], p.text)
		case err != nil || n > p.regex.NumSubexp():
			return fmt.Errorf("has %s, but %s has %d groups", m[0], p.text, p.regex.NumSubexp())
		}
	}
	return nil
}
