package main

import (
	"bytes"
	"fmt"
	"strings"
)

// writer writes Go.
type writer struct {
	out     bytes.Buffer
	classes map[string]bool
	enums   map[string]bool
	known   map[string]bool // enums and registers
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

func (w *writer) writeEnums(types []Type) error {
	for _, t := range types {
		if len(t.Values) == 0 {
			return fmt.Errorf("enum %s has no values", t.Name)
		}
		w.line("// %s is Kurento's enum of that name.\ntype %s string\n\n// The values of %s.\nconst (", t.Name, t.Name, t.Name)
		for _, v := range t.Values {
			w.line("%s%s %s = %q", t.Name, valueName(v), t.Name, v)
		}
		w.line(")\n")
	}
	w.line("// enums registers them all.\nfunc enums() []rpc.Type {\nreturn []rpc.Type{")
	for _, t := range types {
		var values []string
		for _, v := range t.Values {
			values = append(values, t.Name+valueName(v))
		}
		w.line("rpc.EnumType(%q, %q, %s),", t.Module, t.Name, strings.Join(values, ", "))
	}
	w.line("}\n}")
	return nil
}

func (w *writer) writeRegisters(types []Type) error {
	for _, t := range types {
		w.line("// %s is Kurento's register of that name.", t.Name)
		if err := w.structure(t); err != nil {
			return err
		}
		if t.Name == base {
			w.line("// Any%s is that register or one that extends it.\ntype Any%s interface{ is%s() }\n\nfunc (%s) is%s() {}\n", base, base, base, base, base)
		}
	}
	w.line("// registers registers them all.\nfunc registers() []rpc.Type {\nreturn []rpc.Type{")
	for _, t := range types {
		w.line("rpc.RegisterType[%s](%q, %q),", t.Name, t.Module, t.Name)
		if t.Name == base {
			w.line("rpc.RegisterType[Any%s](%q, %q),", base, t.Module, t.Name)
		}
	}
	w.line("}\n}")
	return nil
}

func (w *writer) writeEvents(types []Type) error {
	for _, t := range types {
		w.line("// %s is Kurento's event of that name.", t.Name)
		own := t
		if own.Extends == "RaiseBase" || own.Extends == "Media" {
			own.Extends = "" // the seam has their members
		}
		if err := w.structure(own); err != nil {
			return err
		}
	}
	w.line("// events registers them all.\nfunc events() []rpc.Type {\nreturn []rpc.Type{")
	for _, t := range types {
		extends := fmt.Sprintf("%q", t.Extends)
		if t.Extends == "RaiseBase" || t.Extends == "Media" {
			extends = "rpc." + t.Extends
		}
		w.line("rpc.EventType[%s](%q, %q, %s),", t.Name, t.Module, t.Name, extends)
	}
	w.line("}\n}")
	return nil
}

// structure writes a register or an event.
func (w *writer) structure(t Type) error {
	if len(t.Fields) == 0 && t.Extends == "" {
		w.line("type %s struct{}\n", t.Name)
		return nil
	}
	w.line("type %s struct {", t.Name)
	if t.Extends != "" {
		w.line("%s", t.Extends)
	}
	for _, f := range t.Fields {
		kind, err := w.goType(f.Type)
		if err != nil {
			return fmt.Errorf("%s, field %s: %w", t.Name, f.Name, err)
		}
		tag := fmt.Sprintf("rpc:%q", f.Name)
		if f.Optional {
			tag = fmt.Sprintf("rpc:%q", f.Name+",optional")
			if f.Default != nil {
				tag += fmt.Sprintf(" default:%q", f.Default)
			} else if !strings.HasSuffix(f.Type, "<>") && !strings.HasSuffix(f.Type, "[]") {
				kind = "*" + kind // nil = absent
			}
		}
		w.line("%s %s `%s`", goName(f.Name), kind, tag)
	}
	w.line("}\n")
	return nil
}

// goType is the Go type of a type of the table.
func (w *writer) goType(name string) (string, error) {
	if of, ok := strings.CutSuffix(name, "[]"); ok {
		t, err := w.goType(of)
		return "[]" + t, err
	}
	if of, ok := strings.CutSuffix(name, "<>"); ok {
		t, err := w.goType(of)
		return "map[string]" + t, err
	}
	switch name {
	case "String":
		return "string", nil
	case "boolean":
		return "bool", nil
	case "int", "int64":
		return name, nil
	case "float":
		return "float32", nil
	case "double":
		return "float64", nil
	case "MediaObject":
		return "*rpc.Object", nil
	case "MediaElement":
		return "*Element", nil
	}
	if w.known[name] && !ours[name] {
		return name, nil
	}
	if w.classes[name] {
		return "", fmt.Errorf("has the class %s, for which no Go type is known here", name)
	}
	return "", fmt.Errorf("has the type %q, which is neither primitive, enum nor register", name)
}
