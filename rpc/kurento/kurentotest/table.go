// Package kurentotest checks a server's surface against the table of Kurento's API: every class, property, method and event,
// as a client meets them, without media.
package kurentotest

import (
	"encoding/json"
	"fmt"

	"github.com/patchbay/patchbay/rpc/kurento"
)

// Table is Kurento's API.
type Table struct {
	Classes      map[string]class  `json:"classes"`
	ComplexTypes map[string]*typed `json:"complexTypes"`
	Events       map[string]*typed `json:"events"`
}

type class struct {
	Type        string   `json:"type"`
	Abstract    bool     `json:"abstract"`
	Hierarchy   []string `json:"hierarchy"`
	Constructor []param  `json:"constructor"`
	Properties  []prop   `json:"properties"`
	Methods     []method `json:"methods"`
	Events      []string `json:"events"`
}

type param struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Optional bool            `json:"optional"`
	Default  json.RawMessage `json:"default"`
}

type prop struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	ReadOnly bool   `json:"readonly"`
	Final    bool   `json:"final"`
}

type method struct {
	Name   string  `json:"name"`
	Params []param `json:"params"`
}

type typed struct {
	Format  string   `json:"format"`
	Extends string   `json:"extends"`
	Values  []string `json:"values"`
	Fields  []param  `json:"fields"`
}

// ReadTable reads the table.
func ReadTable(b []byte) (*Table, error) {
	t := new(Table)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("table of the API: %w", err)
	}
	if len(t.Classes) == 0 || len(t.ComplexTypes) == 0 || len(t.Events) == 0 {
		return nil, fmt.Errorf("table of the API has %d classes, %d types, %d events", len(t.Classes), len(t.ComplexTypes), len(t.Events))
	}
	return t, nil
}

// Creatable is what of a list of missing members are classes that clients could create, with the reasons.
func (t *Table) Creatable(missing []kurento.Exception) map[string]string {
	out := map[string]string{}
	for _, e := range missing {
		if c, ok := t.Classes[e.Member]; ok && !c.Abstract {
			out[e.Member] = e.Reason
		}
	}
	return out
}

// lineage is a class and its ancestors.
func (t *Table) lineage(name string) []class {
	out := []class{t.Classes[name]}
	for _, q := range out[0].Hierarchy {
		out = append(out, t.Classes[bare(q)])
	}
	return out
}

// is reports whether a class is another or extends it.
func (t *Table) is(name, ancestor string) bool {
	if name == ancestor {
		return true
	}
	for _, q := range t.Classes[name].Hierarchy {
		if bare(q) == ancestor {
			return true
		}
	}
	return false
}

// fields are a type's own and inherited.
func (t *Table) fields(of map[string]*typed, name string) []param {
	var out []param
	for x := of[name]; x != nil; x = of[x.Extends] {
		out = append(out, x.Fields...)
	}
	return out
}

func bare(qualified string) string {
	for i := len(qualified) - 1; i >= 0; i-- {
		if qualified[i] == '.' {
			return qualified[i+1:]
		}
	}
	return qualified
}
