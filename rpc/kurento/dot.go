package kurento

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/rpc"
)

// Dot is the pipeline's graph in the language of Graphviz: its elements, its hubs with their ports, and the connections.
func (p *Pipeline) Dot(GstreamerDotDetails) string { return p.draw(p.self) }

// DumpDot writes Dot to a file on the server.
func (p *Pipeline) DumpDot(GstreamerDotDetails) error { return p.dump(p.self) }

// Dot is the element with what it is connected to, in the language of Graphviz.
func (e *Element) Dot(GstreamerDotDetails) string { return e.pipeline.draw(e.self) }

// DumpDot writes Dot to a file on the server.
func (e *Element) DumpDot(GstreamerDotDetails) error { return e.pipeline.dump(e.self) }

// Dot is the hub with its ports and what they are connected to, in the language of Graphviz.
func (h *Hub) Dot(GstreamerDotDetails) string { return h.pipeline.draw(h.self) }

// DumpDot writes Dot to a file on the server.
func (h *Hub) DumpDot(GstreamerDotDetails) error { return h.pipeline.dump(h.self) }

func (e *Element) element() *Element { return e }

// draw draws a tree of objects, the connections of its elements, and the elements at their other ends.
func (p *Pipeline) draw(root *rpc.Object) string {
	d := drawing{drawn: map[*rpc.Object]bool{}, edges: map[*connection]bool{}}
	d.line("digraph %s {", quote(root.ID()))
	d.line("  rankdir=LR;")
	d.line("  node [shape=box];")
	p.graph.Lock()
	d.tree(root, "  ")
	d.connections()
	p.graph.Unlock()
	d.line("}")
	return d.out.String()
}

// drawing is a graph on its way to text.
type drawing struct {
	out      strings.Builder
	drawn    map[*rpc.Object]bool
	elements []*Element
	edges    map[*connection]bool
}

func (d *drawing) line(format string, args ...any) { fmt.Fprintf(&d.out, format+"\n", args...) }

// tree draws an object, and what it owns in a frame around.
func (d *drawing) tree(o *rpc.Object, indent string) {
	if e, ok := o.Value().(interface{ element() *Element }); ok {
		d.elements = append(d.elements, e.element())
		d.node(o, indent)
		return
	}
	d.line("%ssubgraph %s {", indent, quote("cluster_"+o.ID()))
	d.line("%s  label=%s;", indent, quote(label(o)))
	if len(o.Children()) == 0 {
		d.line("%s  %s [style=invis];", indent, quote(o.ID()))
	}
	for _, c := range o.Children() {
		d.tree(c, indent+"  ")
	}
	if h, ok := o.Value().(interface{ base() *Hub }); ok {
		d.hub(h.base(), indent+"  ")
	}
	d.line("%s}", indent)
}

// hub draws what a hub sends from port to port.
func (d *drawing) hub(h *Hub, indent string) {
	for _, o := range h.self.Children() {
		port, ok := o.Value().(*HubPort)
		if !ok {
			continue
		}
		if from := h.feeder(port); from != nil {
			d.line("%s%s -> %s [style=dashed];", indent, quote(from.self.ID()), quote(o.ID()))
		}
	}
}

func (d *drawing) node(o *rpc.Object, indent string) {
	if !d.drawn[o] {
		d.drawn[o] = true
		d.line("%s%s [label=%s];", indent, quote(o.ID()), quote(label(o)))
	}
}

func (d *drawing) connections() {
	for _, e := range d.elements {
		for _, list := range [][]*connection{e.in, e.out} {
			for _, c := range list {
				if d.edges[c] {
					continue
				}
				d.edges[c] = true
				d.node(c.source.self, "  ")
				d.node(c.sink.self, "  ")
				d.line("  %s -> %s [label=%s];", quote(c.source.self.ID()), quote(c.sink.self.ID()), quote(c.String()))
			}
		}
	}
}

// String says what the connection is for, and how media goes over it if it does.
func (c *connection) String() string {
	s := string(c.kind)
	if c.from != defaultDescription || c.to != defaultDescription {
		s += " " + c.from + " to " + c.to
	}
	if c.src == nil {
		return s + "\nno pads"
	}
	for _, p := range c.src.Path(c.dest) {
		s += "\n" + p.From.String()
		if p.Converted {
			s += " to " + p.To.String()
		}
	}
	return s
}

func label(o *rpc.Object) string {
	s := o.Class().Name
	if o.Name() != o.ID() {
		s += "\n" + o.Name()
	}
	return s
}

// quote makes a string a quoted ID of DOT: a quote mark in it is escaped, and so is a backslash, which is an escape of
// labels.
func quote(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\ufffd")
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(s) + `"`
}

// maxDots bounds the files that a tenant's clients have written.
const maxDots = 200

// dump writes a drawing to a file that is named by the object, in a folder of its tenant's. Another of the same object replaces
// it; for a new one over the bound the oldest goes.
func (p *Pipeline) dump(o *rpc.Object) error {
	if p.core.cfg.Dots == "" {
		return rpc.Errorf(rpc.NotSupported, "dumpGstreamerDot isn't available: the server has no folder for it.")
	}
	drawing := p.draw(o)
	p.core.dots.Lock()
	defer p.core.dots.Unlock()
	dir := filepath.Join(p.core.cfg.Dots, "of-"+url.PathEscape(o.Tenant())) // "..", too, is no folder above then
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("dump graph: %w", err)
	}
	name := filepath.Join(dir, o.ID()[strings.LastIndexByte(o.ID(), '/')+1:]+".dot")
	if err := os.WriteFile(name, []byte(drawing), 0o600); err != nil {
		return fmt.Errorf("dump graph: %w", err)
	}
	return forgetOldest(dir, maxDots)
}

// forgetOldest removes a folder's files but the newest.
func forgetOldest(dir string, keep int) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("dump graph: %w", err)
	}
	if len(list) <= keep {
		return nil
	}
	files := make([]os.FileInfo, 0, len(list))
	for _, f := range list {
		if i, err := f.Info(); err == nil { // otherwise it has just gone
			files = append(files, i)
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files[:max(0, len(files)-keep)] {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("dump graph: %w", err)
		}
	}
	return nil
}
