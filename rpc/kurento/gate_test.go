package kurento_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

func table(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/api.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compare(t *testing.T, c *rpc.Classes, table []byte, except []kurento.Exception) []string {
	t.Helper()
	got, err := kurento.Compare(c, table, except)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

type pipeline struct{ latency bool }

func (p *pipeline) Latency() bool     { return p.latency }
func (p *pipeline) SetLatency(v bool) { p.latency = v }

type details string

func (p *pipeline) Dot(details) string { return "" }
func (p *pipeline) Dump(details)       {}

func core() *rpc.Classes {
	c := rpc.NewClasses(rpc.Module{Name: "core", Namespace: "kurento", Version: "7.3.0"}, rpc.Module{Name: "own", Version: "1.0.0"})
	c.Types(rpc.BaseTypes("core")...)
	return c
}

// others are exceptions for all classes but these.
func others(t *testing.T, names ...string) []kurento.Exception {
	t.Helper()
	var a struct{ Classes map[string]struct{} }
	if err := json.Unmarshal(table(t), &a); err != nil {
		t.Fatal(err)
	}
	var out []kurento.Exception
	for name := range a.Classes {
		if !slices.Contains(names, name) {
			out = append(out, kurento.Exception{Member: name, Reason: "It is another test's."})
		}
	}
	return out
}

// Kurento's 29 classes are whole.
func TestRegisteredIsWhole(t *testing.T) {
	c := rpc.NewClasses(kurento.Modules()...)
	kurento.Register(c, kurento.Config{})
	if got := compare(t, c, table(t), kurento.Ours()); len(got) != 0 {
		t.Errorf("differs:\n%s", strings.Join(got, "\n"))
	}
	if n := len(c.Names()); n != 29 {
		t.Errorf("%d classes, want 29", n)
	}
	var a struct{ ComplexTypes, Events map[string]struct{} }
	if err := json.Unmarshal(table(t), &a); err != nil {
		t.Fatal(err)
	}
	types, events := c.DescribeTypes()
	if len(types) != len(a.ComplexTypes) || len(events) != len(a.Events)-2 { // RaiseBase and Media are every table's
		t.Errorf("%d types and %d events, Kurento has %d and %d", len(types), len(events), len(a.ComplexTypes), len(a.Events)-2)
	}
}

// MediaObject is whole: with an exception for every other class nothing differs.
func TestMediaObjectIsWhole(t *testing.T) {
	c := core()
	pipe := &rpc.Class{Module: "core", Name: "MediaPipeline", New: rpc.Make(func() *pipeline { return &pipeline{} })}
	object := rpc.MediaObject("core", "MediaPipeline")
	pipe.Extends = object
	c.Register(object, pipe)
	if got := compare(t, c, table(t), others(t, "MediaObject")); len(got) != 0 {
		t.Errorf("differs:\n%s", strings.Join(got, "\n"))
	}
}

// A whole MediaPipeline passes without an exception; each way of not being whole is found.
func TestCompareFindsDifferences(t *testing.T) {
	rest := others(t, "MediaObject", "MediaPipeline")
	for name, c := range map[string]struct {
		change func(object, pipe *rpc.Class, c *rpc.Classes)
		want   string
	}{
		"whole":          {func(_, _ *rpc.Class, _ *rpc.Classes) {}, ""},
		"missing method": {func(_, p *rpc.Class, _ *rpc.Classes) { p.Ops = p.Ops[:1] }, "MediaPipeline.dumpGstreamerDot: is missing: want method (details GstreamerDotDetails?) "},
		"extra method":   {func(_, p *rpc.Class, _ *rpc.Classes) { p.Ops = append(p.Ops, rpc.Method("x", (*pipeline).Latency)) }, "MediaPipeline.x: is method () boolean, which Kurento doesn't have"},
		"not optional": {func(_, p *rpc.Class, _ *rpc.Classes) {
			p.Ops[0] = rpc.Method("getGstreamerDot", (*pipeline).Dot, rpc.Arg("details"))
		}, "MediaPipeline.getGstreamerDot: is method (details GstreamerDotDetails) String, want method (details GstreamerDotDetails?) String"},
		"no setter": {func(_, p *rpc.Class, _ *rpc.Classes) {
			p.Props[0] = rpc.ReadOnly("latencyStats", (*pipeline).Latency).Default(false)
		}, "MediaPipeline.latencyStats: is property boolean readonly=true final=false default=false, want property boolean readonly=false final=false default=false"},
		"no default": {func(_, p *rpc.Class, _ *rpc.Classes) {
			p.Props[0] = rpc.Property("latencyStats", (*pipeline).Latency, (*pipeline).SetLatency)
		}, "MediaPipeline.latencyStats: is property boolean readonly=false final=false default=, want property boolean readonly=false final=false default=false"},
		"extra event": {func(_, p *rpc.Class, c *rpc.Classes) {
			p.Events = []string{"Mine"}
			c.Types(rpc.EventType[struct{}]("own", "Mine", rpc.Media))
		}, "MediaPipeline.Mine: is event, which Kurento doesn't have"},
		"missing event": {func(o, _ *rpc.Class, _ *rpc.Classes) { o.Events = nil }, "MediaObject.Error: is missing: want event"},
		"wrong module":  {func(_, p *rpc.Class, _ *rpc.Classes) { p.Module = "own" }, "MediaPipeline: is own.MediaPipeline of module own, want kurento.MediaPipeline of core"},
		"not abstract":  {func(o, _ *rpc.Class, _ *rpc.Classes) { o.Abstract = false; o.Type = reflect.TypeFor[*pipeline]() }, "MediaObject: abstract is false, want true"},
		"constructor": {func(_, p *rpc.Class, _ *rpc.Classes) {
			p.New = rpc.Make(func(int) *pipeline { return &pipeline{} }, rpc.OptArg("n", 1))
		}, "MediaPipeline.new: takes (n int? = 1), want ()"},
		"class too many":  {func(_, _ *rpc.Class, _ *rpc.Classes) {}, "Mine: is a class of module core, which Kurento doesn't have"},
		"type too many":   {func(_, _ *rpc.Class, c *rpc.Classes) { c.Types(rpc.RegisterType[struct{}]("core", "Mine")) }, "Mine: is a type of module core, which Kurento doesn't have"},
		"our own is ours": {func(_, _ *rpc.Class, c *rpc.Classes) { c.Types(rpc.RegisterType[struct{}]("own", "Mine")) }, ""},
		"register": {func(_, _ *rpc.Class, c *rpc.Classes) {
			c.Types(rpc.RegisterType[struct {
				A int     `rpc:"numerator"`
				B float64 `rpc:"denominator"`
			}]("core", "Fraction"))
		}, "Fraction: has fields (numerator int, denominator double), want (numerator int, denominator int)"},
		"enum": {func(_, _ *rpc.Class, c *rpc.Classes) {
			type m string
			c.Types(rpc.EnumType("core", "MediaState", m("CONNECTED")))
		}, `MediaState: has values ["CONNECTED"], want ["DISCONNECTED" "CONNECTED"]`},
	} {
		classes := core()
		classes.Types(rpc.EnumType[details]("core", "GstreamerDotDetails", "SHOW_MEDIA_TYPE", "SHOW_CAPS_DETAILS", "SHOW_NON_DEFAULT_PARAMS", "SHOW_STATES", "SHOW_FULL_PARAMS", "SHOW_ALL", "SHOW_VERBOSE"))
		object := rpc.MediaObject("core", "MediaPipeline")
		pipe := &rpc.Class{Module: "core", Name: "MediaPipeline", Extends: object, New: rpc.Make(func() *pipeline { return &pipeline{} }),
			Props: []rpc.Prop{rpc.Property("latencyStats", (*pipeline).Latency, (*pipeline).SetLatency).Default(false)},
			Ops: []rpc.Op{
				rpc.Method("getGstreamerDot", (*pipeline).Dot, rpc.Opt("details")),
				rpc.Method("dumpGstreamerDot", (*pipeline).Dump, rpc.Opt("details")),
			}}
		c.change(object, pipe, classes)
		classes.Register(object, pipe)
		if name == "class too many" {
			classes.Register(&rpc.Class{Module: "core", Name: "Mine", Extends: object, Abstract: true})
		}
		got := compare(t, classes, table(t), rest)
		if want := c.want; want == "" && len(got) != 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// With an empty table the gate names all 29 classes, and exceptions without a use or a reason.
func TestExceptions(t *testing.T) {
	empty := rpc.NewClasses(rpc.Module{Name: "core", Version: "7.3.0"})
	if got := compare(t, empty, table(t), nil); len(got) != 29 || !slices.Contains(got, "WebRtcEndpoint: class is missing") {
		t.Errorf("%d differences: %q", len(got), got)
	}
	all := others(t)
	if got := compare(t, empty, table(t), all); len(got) != 0 {
		t.Errorf("differs: %q", got)
	}
	all = append(all, kurento.Exception{Member: "Nothing.x", Reason: "no sentence"})
	want := []string{"Nothing.x: the exception has no sentence as its reason", "Nothing.x: the exception is stale: nothing differs any more, or another covers it"}
	if got := compare(t, empty, table(t), all); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, bad := range []string{"", "{}", "[]", `{"classes":{"X":7}}`} {
		if _, err := kurento.Compare(empty, []byte(bad), nil); err == nil {
			t.Errorf("a table of %q passes", bad)
		}
	}
}
