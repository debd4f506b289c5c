package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

const (
	// maxDepth bounds the nesting of parameters. Declared types nest four deep.
	maxDepth = 32
	// maxItems bounds one list or map of a parameter.
	maxItems = 10_000
)

var (
	errSyntax = errors.New("no valid JSON")
	errDepth  = errors.New("nested too deep")
)

// checkJSON reports whether raw is one JSON value that isn't nested too deep. What it has passed the functions below may
// walk without looking again.
func checkJSON(raw []byte) error { return checkDepth(raw, maxDepth) }

func checkDepth(raw []byte, most int) error {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i) - 1
		case '{', '[':
			if depth++; depth > most {
				return errDepth
			}
		case '}', ']':
			depth--
		}
	}
	if !json.Valid(raw) {
		return errSyntax
	}
	return nil
}

// stringEnd is the position after the string that begins at i.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// valueEnd is the position after the value that begins at i.
func valueEnd(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func blank(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\r' || raw[i] == '\n') {
		i++
	}
	return i
}

// walk goes over the members of an object or the items of a list, which must have passed checkJSON.
type walk struct {
	raw []byte
	at  int
	obj bool
	key []byte // without quotes, unescaped
	val []byte
}

func members(raw []byte) walk { return walk{raw: raw, at: 1, obj: true} }
func items(raw []byte) walk   { return walk{raw: raw, at: 1} }

func (w *walk) next() bool {
	w.at = blank(w.raw, w.at)
	if w.at < len(w.raw) && w.raw[w.at] == ',' {
		w.at = blank(w.raw, w.at+1)
	}
	if w.at >= len(w.raw) || w.raw[w.at] == '}' || w.raw[w.at] == ']' {
		return false
	}
	if w.obj {
		end := stringEnd(w.raw, w.at)
		w.key = w.raw[w.at+1 : end-1]
		if !plain(w.key) {
			w.key = []byte(unquote(w.raw[w.at:end]))
		}
		w.at = blank(w.raw, blank(w.raw, end)+1) // the colon
	}
	end := valueEnd(w.raw, w.at)
	w.val = w.raw[w.at:end]
	w.at = end
	return true
}

// plain reports whether a string's bytes stand for themselves.
func plain(b []byte) bool {
	return bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b)
}

// unquote is the text of a JSON string, with its quotes.
func unquote(raw []byte) string {
	if b := raw[1 : len(raw)-1]; plain(b) {
		return string(b)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "" // checkJSON has passed it
	}
	return s
}

func isNull(raw []byte) bool { return len(raw) > 0 && raw[0] == 'n' }

// trim cuts the blanks around a document.
func trim(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }
