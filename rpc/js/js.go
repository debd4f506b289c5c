// Package js writes npm modules for kurento-client: of a module's description, the table of constructors that
// kurentoClient.register takes. What the constructors do is in remote.js; rpc/js itself is the npm module of telephony.
package js

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// kmd is as much of a description as an SDK's module needs.
type kmd struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Code    struct {
		Implementation struct {
			Namespace string `json:"cppNamespace"`
		} `json:"implementation"`
	} `json:"code"`
	Classes []class  `json:"remoteClasses"`
	Types   []kmType `json:"complexTypes"`
}

type class struct {
	Name        string `json:"name"`
	Doc         string `json:"doc"`
	Extends     string `json:"extends"`
	Abstract    bool   `json:"abstract"`
	Constructor *struct {
		Params []param `json:"params"`
	} `json:"constructor"`
	Properties []struct {
		Name     string `json:"name"`
		Type     string `json:"type"`
		ReadOnly bool   `json:"readOnly"`
		Final    bool   `json:"final"`
	} `json:"properties"`
	Methods []struct {
		Name   string  `json:"name"`
		Params []param `json:"params"`
		Return *param  `json:"return"`
	} `json:"methods"`
	Events []string `json:"events"`
}

type param struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional"`
}

type kmType struct {
	Name   string   `json:"name"`
	Format string   `json:"typeFormat"`
	Values []string `json:"values"`
	Fields []param  `json:"properties"`
}

// Index is the module's index.js. All classes that the module's own extend are kurento-client-core's, or its own.
func Index(description []byte) ([]byte, error) {
	var k kmd
	if err := json.Unmarshal(description, &k); err != nil {
		return nil, fmt.Errorf("module description: %w", err)
	}
	own := map[string]bool{}
	for _, c := range k.Classes {
		own[c.Name] = true
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "'use strict'\n// Module %s %s. Made of %s.kmd.json: go test ./cmd/patchbay -run TestTelephonyModule -update.\n\n", k.Name, k.Version, k.Name)
	b.WriteString("const { remoteClass, register, enumeration } = require('./remote')\nconst core = require('kurento-client-core')\n\n")
	fmt.Fprintf(&b, "Object.defineProperty(exports, 'name', { value: %s })\nObject.defineProperty(exports, 'version', { value: %s })\n\nexports.abstracts = {}\nexports.complexTypes = {}\n",
		quote(k.Name), quote(k.Version))
	for _, t := range k.Types {
		if len(t.Values) > 0 {
			fmt.Fprintf(&b, "\nexports.complexTypes.%s = enumeration(%s)\n", t.Name, list(t.Values))
			continue
		}
		var fields []string
		for _, f := range t.Fields {
			fields = append(fields, f.Name)
		}
		fmt.Fprintf(&b, "\nexports.complexTypes.%s = register(%s, %s, core.complexTypes.ComplexType, %s)\n", t.Name, quote(k.Code.Implementation.Namespace), quote(t.Name), list(fields))
	}
	for _, c := range k.Classes {
		c.write(&b, own)
	}
	return b.Bytes(), nil
}

func (c class) write(b *bytes.Buffer, own map[string]bool) {
	place, base := "exports."+c.Name, "core.abstracts."+c.Extends
	if c.Abstract {
		place = "exports.abstracts." + c.Name
	}
	if own[c.Extends] {
		base = "exports." + c.Extends
	}
	b.WriteString("\n")
	if c.Doc != "" {
		fmt.Fprintf(b, "// %s\n", strings.Join(strings.Fields(c.Doc), " "))
	}
	fmt.Fprintf(b, "%s = remoteClass(%s, %s, {\n  constructorParams: {", place, quote(c.Name), base)
	if c.Constructor != nil {
		for i, p := range c.Constructor.Params {
			sep := ","
			if i == 0 {
				sep = ""
			}
			fmt.Fprintf(b, "%s\n    %s: { type: %s", sep, p.Name, quote(checked(p.Type, own)))
			if strings.HasSuffix(p.Type, "[]") {
				b.WriteString(", isArray: true")
			}
			if !p.Optional {
				b.WriteString(", required: true")
			}
			b.WriteString(" }")
		}
		b.WriteString("\n  ")
	}
	b.WriteString("},\n  methods: [")
	for i, m := range c.methods(own) {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n    " + m)
	}
	fmt.Fprintf(b, "\n  ],\n  events: %s\n})\n", list(c.Events))
}

// methods are the operations, those of properties first, each as remoteClass takes it.
func (c class) methods(own map[string]bool) []string {
	var out []string
	add := func(name string, params []string, gives string) {
		object := ""
		if own[strings.TrimSuffix(gives, "[]")] {
			object = ", true"
		}
		out = append(out, fmt.Sprintf("[%s, %s%s]", quote(name), list(params), object))
	}
	for _, p := range c.Properties {
		upper := strings.ToUpper(p.Name[:1]) + p.Name[1:]
		add("get"+upper, nil, p.Type)
		if !p.ReadOnly && !p.Final {
			add("set"+upper, []string{p.Name}, "")
		}
	}
	for _, m := range c.Methods {
		var params []string
		for _, p := range m.Params {
			params = append(params, p.Name)
		}
		gives := ""
		if m.Return != nil {
			gives = m.Return.Type
		}
		add(m.Name, params, gives)
	}
	return out
}

// checked is the name by which kurento-client checks a parameter's type.
func checked(kind string, own map[string]bool) string {
	bare := strings.TrimSuffix(kind, "[]")
	switch {
	case strings.HasSuffix(kind, "<>"):
		return "Object"
	case bare == "int64":
		return "int"
	case own[bare], slices.Contains([]string{"int", "float", "double", "boolean", "String"}, bare):
		return bare
	}
	return "kurento." + bare
}

func list(items []string) string {
	var out []string
	for _, i := range items {
		out = append(out, quote(i))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}
