package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// newClassesCommand prints the table of classes. docs/rpc-classes.md is what it prints.
func newClassesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "classes [NAME…]",
		Short: "What JSON-RPC clients can create, ask and subscribe to (Markdown)",
		RunE: func(cmd *cobra.Command, names []string) error {
			c, _, _ := elementClasses(kurento.Config{}, telephony.Config{})
			text := classesPage(c)
			if len(names) > 0 {
				text = ""
				for _, name := range names {
					d, ok := c.Describe(name)
					if !ok {
						return fmt.Errorf("there is no class %s; without a name all are printed", name)
					}
					text += classText(d)
				}
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

// classesPage is all modules' classes, then the types and events, then what of Kurento is missing.
func classesPage(c *rpc.Classes) string {
	var b strings.Builder
	b.WriteString("# Classes of the JSON-RPC interface\n\nPrinted by `patchbay classes`; `make docs` renews it. [rpc.md](rpc.md) tells how to use them.\n\n" +
		"A property `x` is read by the operation `getX` and, unless it is read-only, set by `setX` with the parameter `x`. A parameter with `?` may be left out.\n" +
		"What a class extends it has too: operations, properties and events.\n")
	types, events := c.DescribeTypes()
	for _, m := range c.Modules() {
		fmt.Fprintf(&b, "\n## Module %s %s\n\n", m.Name, m.Version)
		for _, name := range c.Names() {
			if d, _ := c.Describe(name); d.Module == m.Name {
				b.WriteString(classText(d))
			}
		}
		typesText(&b, "Types of "+m.Name, m.Name, types)
		typesText(&b, "Events of "+m.Name, m.Name, events)
	}
	exceptions(&b, "What of Kurento 7.3 is missing", kurento.Missing())
	exceptions(&b, "What can be set as at Kurento's and does nothing", kurento.Idle())
	exceptions(&b, "What Kurento's classes have here alone", kurento.Ours())
	return b.String()
}

// exceptions is a table of members and what is to be said of them, by name.
func exceptions(b *strings.Builder, title string, list []kurento.Exception) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| member | |\n|---|---|\n", title)
	slices.SortStableFunc(list, func(x, y kurento.Exception) int { return cmp.Compare(x.Member, y.Member) })
	for _, e := range list {
		fmt.Fprintf(b, "| %s | %s |\n", e.Member, strings.ReplaceAll(e.Reason, "|", `\|`))
	}
}

// classText is one class with its own members.
func classText(d rpc.Description) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", d.Type)
	var about []string
	if len(d.Hierarchy) > 0 {
		about = append(about, "Extends "+bare(d.Hierarchy[0])+".")
	}
	if d.Abstract {
		about = append(about, "Clients can't create it.")
	}
	if d.Doc != "" {
		about = append(about, d.Doc)
	}
	if len(about) > 0 {
		fmt.Fprintf(&b, "%s\n\n", strings.Join(about, " "))
	}
	line := func(text, doc string, of ...rpc.ParamDesc) {
		if doc != "" {
			doc = ": " + strings.TrimSpace(doc)
		}
		fmt.Fprintf(&b, "- %s%s\n", text, doc)
		for _, p := range of {
			if p.Doc != "" {
				fmt.Fprintf(&b, "  - *%s*: %s\n", p.Name, strings.TrimSpace(p.Doc))
			}
		}
	}
	if !d.Abstract {
		line("create `("+params(d.Constructor)+")`", "", d.Constructor...)
	}
	for _, o := range d.Methods {
		if o.Class == d.Type {
			result := ""
			if o.Return != nil {
				result = " → " + o.Return.Type
			}
			line("`"+o.Name+"("+params(o.Params)+")"+result+"`", o.Doc, o.Params...)
		}
	}
	for _, p := range d.Properties {
		if p.Class == d.Type {
			text := "property `" + p.Name + " " + p.Type + defaultOf(p.Default) + "`"
			if p.ReadOnly || p.Final {
				text += ", read-only"
			}
			line(text, p.Doc)
		}
	}
	if len(d.OwnEvents) > 0 {
		line("events "+strings.Join(d.OwnEvents, ", "), "")
	}
	return strings.TrimRight(b.String(), "\n") + "\n\n"
}

// params is a list of parameters as a signature has it.
func params(list []rpc.ParamDesc) string {
	var out []string
	for _, p := range list {
		mark := ""
		if p.Optional {
			mark = "?"
		}
		out = append(out, p.Name+mark+" "+p.Type+defaultOf(p.Default))
	}
	return strings.Join(out, ", ")
}

func defaultOf(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	return " = " + string(text)
}

func bare(qualified string) string { return qualified[strings.LastIndexByte(qualified, '.')+1:] }

func typesText(b *strings.Builder, title, module string, types []rpc.TypeDescription) {
	first := true
	for _, t := range types {
		if t.Module != module {
			continue
		}
		if first {
			fmt.Fprintf(b, "### %s\n\n", title)
			first = false
		}
		text := "**" + t.Name + "**"
		if t.Extends != "" {
			text += " extends " + t.Extends
		}
		if t.Doc != "" {
			text += ": " + strings.TrimSpace(t.Doc)
		}
		if len(t.Values) > 0 {
			text += " `" + strings.Join(t.Values, "`, `") + "`"
		}
		if len(t.Fields) > 0 {
			text += " `{" + params(t.Fields) + "}`"
		}
		fmt.Fprintf(b, "- %s\n", text)
	}
	if !first {
		b.WriteString("\n")
	}
}
