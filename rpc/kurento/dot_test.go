package kurento_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// graph is what a text in the language of Graphviz draws.
type graph struct {
	nodes, edges []string // edges as from>to
	labels       map[string]string
}

// readDot reads the part of the language that is a digraph with quoted names, subgraphs and attributes: it is as strict as
// the grammar is.
func readDot(text string) (g graph, err error) {
	p := &dotReader{g: graph{labels: map[string]string{}}}
	token := regexp.MustCompile(`"(?:\\.|[^"\\])*"|->|[A-Za-z_][A-Za-z0-9_]*|[{}\[\];=,]|\s+|.`)
	for _, s := range token.FindAllString(text, -1) {
		if strings.TrimSpace(s) != "" {
			p.tokens = append(p.tokens, s)
		}
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v, before %q", r, p.tokens[:min(len(p.tokens), 5)])
		}
	}()
	p.want("digraph")
	p.name()
	p.body()
	if len(p.tokens) > 0 {
		panic("something follows the graph")
	}
	return p.g, nil
}

type dotReader struct {
	tokens []string
	g      graph
}

func (p *dotReader) peek() string {
	if len(p.tokens) == 0 {
		panic(errors.New("the text ends"))
	}
	return p.tokens[0]
}

func (p *dotReader) next() string {
	s := p.peek()
	p.tokens = p.tokens[1:]
	return s
}

func (p *dotReader) want(s string) {
	if got := p.next(); got != s {
		panic(fmt.Sprintf("%q, want %q", got, s))
	}
}

func (p *dotReader) name() string {
	s := p.next()
	if s[0] == '"' {
		return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	}
	if !regexp.MustCompile(`^[A-Za-z_]\w*$`).MatchString(s) {
		panic(fmt.Sprintf("%q is no name", s))
	}
	return s
}

func (p *dotReader) body() {
	p.want("{")
	for p.peek() != "}" {
		switch name := p.name(); {
		case name == "subgraph":
			p.name()
			p.body()
			continue
		case p.peek() == "=":
			p.next()
			p.name()
		case p.peek() == "->":
			p.next()
			to := p.name()
			p.g.edges = append(p.g.edges, name+">"+to)
			p.attributes(name + ">" + to)
		default:
			if name != "node" {
				p.g.nodes = append(p.g.nodes, name)
			}
			p.attributes(name)
		}
		p.want(";")
	}
	p.next()
}

func (p *dotReader) attributes(of string) {
	if p.peek() != "[" {
		return
	}
	for p.next(); ; {
		key := p.name()
		p.want("=")
		if value := p.name(); key == "label" {
			p.g.labels[of] = value
		}
		if p.peek() == "]" {
			p.next()
			return
		}
		p.want(",")
	}
}

// dot asks an object for its graph.
func (r *rig) dot(o *rpc.Object, params string) graph {
	r.Helper()
	var text string
	if err := json.Unmarshal([]byte(r.call(o, "getGstreamerDot", params)), &text); err != nil {
		r.Fatal(err)
	}
	g, err := readDot(text)
	if err != nil {
		r.Fatalf("%v:\n%s", err, text)
	}
	slices.Sort(g.nodes)
	slices.Sort(g.edges)
	return g
}

func TestDot(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	r := newRig(t, kurento.Config{}, voices("Mu", media.Pad{}, u, u), voices("A", media.Pad{}, a, a))
	if g := r.dot(r.pipe, ""); len(g.edges) != 0 {
		t.Errorf("an empty pipeline has edges %q", g.edges)
	}
	from, to, alone := r.in("Mu"), r.in("A"), r.in("PassThrough")
	r.call(alone, "setName", `{"name":"a \"strange\" \\ {name}\n->"}`)
	hub := r.in("Dispatcher")
	p, q := r.make("HubPort", `{"hub":"`+hub.ID()+`"}`), r.make("HubPort", `{"hub":"`+hub.ID()+`"}`)
	r.call(from, "connect", `{"sink":"`+to.ID()+`","mediaType":"AUDIO"}`)
	r.call(from, "connect", `{"sink":"`+p.ID()+`","mediaType":"VIDEO"}`)
	r.call(hub, "connect", `{"source":"`+p.ID()+`","sink":"`+q.ID()+`"}`)
	edge := func(a, b *rpc.Object) string { return a.ID() + ">" + b.ID() }
	sorted := func(list ...string) []string { slices.Sort(list); return list }

	g := r.dot(r.pipe, `{"details":"SHOW_ALL"}`)
	if want := sorted(from.ID(), to.ID(), alone.ID(), p.ID(), q.ID()); !slices.Equal(g.nodes, want) {
		t.Errorf("nodes %q, want %q", g.nodes, want)
	}
	if want := sorted(edge(from, to), edge(from, p), edge(p, q)); !slices.Equal(g.edges, want) {
		t.Errorf("edges %q, want %q", g.edges, want)
	}
	if got := g.labels[edge(from, to)]; got != `AUDIO\nPCMU/8000 to PCMA/8000` {
		t.Errorf("a connection that converts is labelled %q", got)
	}
	if got := g.labels[edge(from, p)]; got != `VIDEO\nno pads` {
		t.Errorf("a connection without pads is labelled %q", got)
	}
	if got := g.labels[alone.ID()]; got != `PassThrough\na "strange" \\ {name}\n->` {
		t.Errorf("an element is labelled %q", got)
	}
	if g := r.dot(to, ""); !slices.Equal(g.edges, []string{edge(from, to)}) || len(g.nodes) != 2 {
		t.Errorf("an element draws %q and %q", g.nodes, g.edges)
	}
	if g := r.dot(hub, ""); !slices.Equal(g.edges, sorted(edge(p, q), edge(from, p))) {
		t.Errorf("a hub draws %q", g.edges)
	}
	r.refused(rpc.BadParam, r.pipe, "getGstreamerDot", `{"details":"SHOW_NOTHING"}`)
	r.refused(rpc.NotSupported, r.pipe, "dumpGstreamerDot", "")
}

// A graph is written to the folder that the program names, once per object; a tenant's oldest goes for its newest, others'
// stay.
func TestDumpDot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dots")
	r := newRig(t, kurento.Config{Dots: dir})
	own := filepath.Join(dir, "of-"+r.pipe.Tenant())
	e, hub := r.in("PassThrough"), r.in("Dispatcher")
	for range 2 {
		for _, o := range []*rpc.Object{r.pipe, e, hub} {
			r.call(o, "dumpGstreamerDot", `{"details":"SHOW_ALL"}`)
		}
	}
	files, err := os.ReadDir(own)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(own, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readDot(string(b)); err != nil || !strings.HasSuffix(f.Name(), ".dot") {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	other, old := filepath.Join(dir, "of-other", "a.dot"), time.Now().Add(-time.Hour)
	if err := os.Mkdir(filepath.Dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{other}
	for i := range 197 {
		names = append(names, filepath.Join(own, fmt.Sprint(i)))
	}
	for i, name := range names {
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, old, old.Add(time.Duration(i)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	r.call(e, "dumpGstreamerDot", "")
	last := r.in("PassThrough")
	r.call(last, "dumpGstreamerDot", "")
	if files, err := os.ReadDir(own); err != nil || len(files) != 200 {
		t.Errorf("%d files, %v; expected 200", len(files), err)
	}
	for name, want := range map[string]bool{other: true, names[1]: false, names[2]: true, filepath.Join(own, last.ID()[strings.LastIndexByte(last.ID(), '/')+1:]+".dot"): true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v; there: expected %v", name, err, want)
		}
	}
}
