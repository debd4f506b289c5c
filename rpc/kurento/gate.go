package kurento

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/rpc"
)

// api is the table of Kurento 7.3's remote classes, types and events.
type api struct {
	Modules      []apiModule         `json:"modules"`
	Classes      map[string]apiClass `json:"classes"`
	ComplexTypes map[string]apiType  `json:"complexTypes"`
	Events       map[string]apiType  `json:"events"`
}

type apiModule struct {
	Name string `json:"name"`
}

type apiClass struct {
	Type        string     `json:"type"`
	Module      string     `json:"module"`
	Abstract    bool       `json:"abstract"`
	Hierarchy   []string   `json:"hierarchy"`
	Constructor []apiParam `json:"constructor"`
	Properties  []apiProp  `json:"properties"`
	Methods     []apiOp    `json:"methods"`
	Events      []string   `json:"events"`
}

type apiParam struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Optional bool            `json:"optional"`
	Default  json.RawMessage `json:"default"`
}

type apiProp struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	ReadOnly bool            `json:"readonly"`
	Final    bool            `json:"final"`
	Default  json.RawMessage `json:"default"`
}

type apiOp struct {
	Name   string     `json:"name"`
	Params []apiParam `json:"params"`
	Return string     `json:"return"`
}

type apiType struct {
	Module  string     `json:"module"`
	Format  string     `json:"format"`
	Extends string     `json:"extends"`
	Values  []string   `json:"values"`
	Fields  []apiParam `json:"fields"`
}

// gate collects differences, by the member that differs.
type gate struct {
	found map[string][]string
}

func (g *gate) differ(member, format string, args ...any) {
	g.found[member] = append(g.found[member], fmt.Sprintf(format, args...))
}

// Compare compares the classes of Kurento's modules in the table with Kurento's own, member by member: names, order and
// types of parameters, defaults, inheritance, events, and the types that are registered. It returns a line for each
// difference that no exception covers, and for each exception that is stale (it covers nothing) or without a reason.
func Compare(c *rpc.Classes, table []byte, exceptions []Exception) ([]string, error) {
	var a api
	if err := json.Unmarshal(table, &a); err != nil {
		return nil, fmt.Errorf("table of the API: %w", err)
	}
	if len(a.Classes) == 0 || len(a.Modules) == 0 {
		return nil, fmt.Errorf("table of the API has %d classes and %d modules, wants some", len(a.Classes), len(a.Modules))
	}
	g := &gate{found: map[string][]string{}}
	ours := func(module string) bool { // a module that Kurento doesn't have
		return !slices.Contains(a.Modules, apiModule{module})
	}
	for name, want := range a.Classes {
		got, ok := c.Describe(name)
		if !ok {
			g.differ(name, "class is missing")
			continue
		}
		g.class(name, got, want)
	}
	for _, name := range c.Names() {
		if d, _ := c.Describe(name); !ours(d.Module) {
			if _, ok := a.Classes[name]; !ok {
				g.differ(name, "is a class of module %s, which Kurento doesn't have", d.Module)
			}
		}
	}
	types, events := c.DescribeTypes()
	g.types(types, a.ComplexTypes, ours)
	g.types(events, a.Events, ours)
	return g.judge(exceptions), nil
}

func (g *gate) class(name string, got rpc.Description, want apiClass) {
	if got.QualifiedType != want.Type || got.Module != want.Module {
		g.differ(name, "is %s of module %s, want %s of %s", got.QualifiedType, got.Module, want.Type, want.Module)
	}
	if got.Abstract != want.Abstract {
		g.differ(name, "abstract is %t, want %t", got.Abstract, want.Abstract)
	}
	if !slices.Equal(got.Hierarchy, want.Hierarchy) {
		g.differ(name, "hierarchy is %q, want %q", got.Hierarchy, want.Hierarchy)
	}
	if g1, w1 := signature(got.Constructor), apiSignature(want.Constructor); g1 != w1 {
		g.differ(name+".new", "takes (%s), want (%s)", g1, w1)
	}
	have, asked := map[string]string{}, map[string]string{}
	for _, p := range got.Properties {
		if p.Class == name {
			have[p.Name] = fmt.Sprintf("property %s readonly=%t final=%t default=%s", p.Type, p.ReadOnly || p.Final, p.Final, p.Default)
		}
	}
	for _, p := range want.Properties {
		asked[p.Name] = fmt.Sprintf("property %s readonly=%t final=%t default=%s", p.Type, p.ReadOnly, p.Final, p.Default)
	}
	for _, o := range got.Methods {
		if o.Class == name {
			result := ""
			if o.Return != nil {
				result = o.Return.Type
			}
			have[o.Name] = fmt.Sprintf("method (%s) %s", signature(o.Params), result)
		}
	}
	for _, o := range want.Methods {
		asked[o.Name] = fmt.Sprintf("method (%s) %s", apiSignature(o.Params), o.Return)
	}
	for _, e := range want.Events {
		asked[e] = "event"
	}
	for _, e := range got.OwnEvents {
		have[e] = "event"
	}
	g.members(name, have, asked)
}

func (g *gate) members(name string, have, asked map[string]string) {
	for m, want := range asked {
		switch got, ok := have[m]; {
		case !ok:
			g.differ(name+"."+m, "is missing: want %s", want)
		case got != want:
			g.differ(name+"."+m, "is %s, want %s", got, want)
		}
	}
	for m, got := range have {
		if _, ok := asked[m]; !ok {
			g.differ(name+"."+m, "is %s, which Kurento doesn't have", got)
		}
	}
}

func (g *gate) types(got []rpc.TypeDescription, want map[string]apiType, ours func(module string) bool) {
	for _, t := range got {
		w, ok := want[t.Name]
		switch {
		case ours(t.Module):
		case !ok:
			g.differ(t.Name, "is a type of module %s, which Kurento doesn't have", t.Module)
		case t.Module != w.Module, t.Format != w.Format, t.Extends != w.Extends:
			g.differ(t.Name, "is %s %s extending %q, want %s %s extending %q", t.Module, t.Format, t.Extends, w.Module, w.Format, w.Extends)
		case !slices.Equal(t.Values, w.Values):
			g.differ(t.Name, "has values %q, want %q", t.Values, w.Values)
		case signature(t.Fields) != apiSignature(w.Fields):
			g.differ(t.Name, "has fields (%s), want (%s)", signature(t.Fields), apiSignature(w.Fields))
		}
	}
}

func signature(params []rpc.ParamDesc) string {
	var out []string
	for _, p := range params {
		out = append(out, param(p.Name, p.Type, p.Optional, p.Default))
	}
	return strings.Join(out, ", ")
}

func apiSignature(params []apiParam) string {
	var out []string
	for _, p := range params {
		out = append(out, param(p.Name, p.Type, p.Optional, p.Default))
	}
	return strings.Join(out, ", ")
}

// markers are what a register's default has beside its fields.
var markers = regexp.MustCompile(`,?"__module__":"[^"]*","__type__":"[^"]*"`)

// param writes a parameter so that equal ones have equal text.
func param(name, kind string, optional bool, def json.RawMessage) string {
	s := name + " " + kind
	if optional {
		s += "?"
	}
	if def != nil {
		var b bytes.Buffer
		if json.Compact(&b, def) != nil {
			b.Write(def)
		}
		s += " = " + markers.ReplaceAllString(b.String(), "")
	}
	return s
}

// judge takes away what exceptions cover.
func (g *gate) judge(exceptions []Exception) []string {
	var out []string
	for _, e := range exceptions {
		used := false
		for member := range g.found {
			if member == e.Member || strings.HasPrefix(member, e.Member+".") {
				delete(g.found, member)
				used = true
			}
		}
		if !used {
			out = append(out, e.Member+": the exception is stale: nothing differs any more, or another covers it")
		}
		if !strings.HasSuffix(e.Reason, ".") {
			out = append(out, e.Member+": the exception has no sentence as its reason")
		}
	}
	for member, lines := range g.found {
		for _, l := range lines {
			out = append(out, member+": "+l)
		}
	}
	slices.Sort(out)
	return out
}
