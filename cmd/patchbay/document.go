package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// place is where a field stands in the file, and what is written there.
type place struct {
	line, column int
	raw          string
	scalar       bool
	secret       bool
}

// document is a settings file while it is read: what stands where, and all that is wrong with it.
type document struct {
	file     string
	dir      string // that a file: reference starts from
	env      func(string) (string, bool)
	places   map[string]place
	mistakes Mistakes
	files    []string // that secrets were read from
}

const (
	maxFile  = 4 << 20 // bytes
	maxDepth = 16      // of nesting; the settings need 5
)

// parse reads the YAML. nil means that there is nothing in it, or that it can't be read and a mistake says why.
func (d *document) parse(b []byte) ast.Node {
	if len(b) > maxFile {
		d.mistakes = append(d.mistakes, Mistake{File: d.file, Problem: fmt.Sprintf("the file has %d bytes, expected at most %d", len(b), maxFile)})
		return nil
	}
	if deep(b) {
		d.mistakes = append(d.mistakes, Mistake{File: d.file, Problem: "brackets are nested deeper than any setting"})
		return nil
	}
	f, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			d.at(doc.Body, "", "the file has a second document, expected one")
			return nil
		}
		body = doc.Body
	}
	return body
}

// deep guards the parser, which is recursive, from a file of brackets alone.
func deep(b []byte) bool {
	depth := 0
	for _, c := range b {
		switch c {
		case '[', '{':
			if depth++; depth > 1000 {
				return true
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return false
}

var quotedPart = regexp.MustCompile("[\"`'].*[\"`']")

// syntax reports what the parser says without the piece of the file that it would show: there may be a secret in it.
func (d *document) syntax(err error) {
	m := Mistake{File: d.file, Problem: "not YAML"}
	var y yaml.Error
	if errors.As(err, &y) {
		m.Problem = "not YAML: " + quotedPart.ReplaceAllString(y.GetMessage(), "…")
		if t := y.GetToken(); t != nil && t.Position != nil {
			m.Line, m.Column = t.Position.Line, t.Position.Column
		}
		if strings.Contains(m.Problem, "alias") {
			m.Problem += ` (a value that begins with * or & needs quotes: "*")`
		}
	}
	d.mistakes = append(d.mistakes, m)
}

// at reports a mistake at a node that isn't a field's value.
func (d *document) at(n ast.Node, field, format string, args ...any) {
	p := position(n)
	d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: p.line, Column: p.column, Field: field, Problem: fmt.Sprintf(format, args...)})
}

// bad reports a mistake of a field's value.
func (d *document) bad(field, format string, args ...any) {
	d.report(Mistake{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// warn reports what is probably not meant.
func (d *document) warn(field, format string, args ...any) {
	d.report(Mistake{Field: field, Problem: fmt.Sprintf(format, args...), Warning: true})
}

// report finds the field's place, or that of the nearest field around it which is written.
// A field that is wrong already isn't judged again.
func (d *document) report(m Mistake) {
	for _, x := range d.mistakes {
		if x.Field == m.Field && !x.Warning {
			return
		}
	}
	m.File = d.file
	if p, ok := d.places[m.Field]; ok {
		m.hasValue = p.scalar
		if m.Value = p.raw; p.secret && p.scalar {
			m.Value = "***"
		}
	}
	for f := m.Field; f != "" && m.Line == 0; f = parent(f) {
		m.Line, m.Column = d.places[f].line, d.places[f].column
	}
	d.mistakes = append(d.mistakes, m)
}

// parent of a[1].b is a[1], and of that a.
func parent(field string) string {
	return field[:max(0, strings.LastIndexAny(field, ".["))]
}

func position(n ast.Node) place {
	var p place
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.line, p.column = t.Position.Line, t.Position.Column
	}
	return p
}
