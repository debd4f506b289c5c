package kurentotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Check tells what is wrong with a value of a type that a server sent; nil if nothing is.
func (t *Table) Check(kind string, raw json.RawMessage) error {
	if of, ok := strings.CutSuffix(kind, "[]"); ok {
		return t.checkList(of, raw)
	}
	if of, ok := strings.CutSuffix(kind, "<>"); ok {
		return t.checkMap(of, raw)
	}
	if x := t.ComplexTypes[kind]; x != nil {
		if x.Format == "ENUM" {
			return checkEnum(x.Values, raw)
		}
		return t.checkRegister(kind, raw)
	}
	if _, ok := t.Classes[kind]; ok {
		return t.checkID(kind, raw)
	}
	return checkPrimitive(kind, raw)
}

func checkPrimitive(kind string, raw json.RawMessage) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	n, number := v.(json.Number)
	ok := false
	switch kind {
	case "String":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "int", "int64":
		i, err := n.Int64()
		ok = number && err == nil && (kind == "int64" || i >= math.MinInt32 && i <= math.MaxInt32)
	case "float":
		f, err := n.Float64()
		ok = number && err == nil && float64(float32(f)) == f
	case "double":
		_, err := n.Float64()
		ok = number && err == nil
	}
	if !ok {
		return fmt.Errorf("%s is no %s", raw, kind)
	}
	return nil
}

func checkEnum(values []string, raw json.RawMessage) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil || !slices.Contains(values, s) {
		return fmt.Errorf("%s is none of %q", raw, values)
	}
	return nil
}

func (t *Table) checkList(of string, raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return fmt.Errorf("%s is no list", raw)
	}
	for i, v := range list {
		if err := t.Check(of, v); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

func (t *Table) checkMap(of string, raw json.RawMessage) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return fmt.Errorf("%s is no map", raw)
	}
	for k, v := range m {
		if err := t.Check(of, v); err != nil {
			return fmt.Errorf("member %s: %w", k, err)
		}
	}
	return nil
}

// checkRegister checks one that is of the type or of one that extends it.
func (t *Table) checkRegister(kind string, raw json.RawMessage) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return fmt.Errorf("%s is no %s", raw, kind)
	}
	var module, name string
	if json.Unmarshal(m["__module__"], &module) != nil || json.Unmarshal(m["__type__"], &name) != nil || module != "kurento" {
		return fmt.Errorf("%s lacks the markers of a %s", raw, kind)
	}
	x := name
	for x != kind && t.ComplexTypes[x] != nil {
		x = t.ComplexTypes[x].Extends
	}
	if x != kind {
		return fmt.Errorf("%s is a %s, which is no %s", raw, name, kind)
	}
	delete(m, "__module__")
	delete(m, "__type__")
	return t.checkFields(t.fields(t.ComplexTypes, name), m)
}

func (t *Table) checkFields(fields []param, m map[string]json.RawMessage) error {
	for _, f := range fields {
		v, ok := m[f.Name]
		delete(m, f.Name)
		switch {
		case !ok && f.Optional:
		case !ok:
			return fmt.Errorf("field %s is missing", f.Name)
		default:
			if err := t.Check(f.Type, v); err != nil {
				return fmt.Errorf("field %s: %w", f.Name, err)
			}
		}
	}
	for name := range m {
		return fmt.Errorf("field %s is one that Kurento doesn't have", name)
	}
	return nil
}

// checkID checks an object's id, by the rules that clients find its class by.
func (t *Table) checkID(kind string, raw json.RawMessage) error {
	var id string
	if err := json.Unmarshal(raw, &id); err != nil {
		return fmt.Errorf("%s is no id", raw)
	}
	last := id[strings.LastIndexByte(id, '_')+1:]
	form := regexp.MustCompile(`^([0-9a-f-]{36}_[A-Za-z]+\.[A-Za-z]+)(/[0-9a-f-]{36}_[A-Za-z]+\.[A-Za-z]+)*$`)
	if id != "manager_ServerManager" && !form.MatchString(id) {
		return fmt.Errorf("%q isn't as ids are", id)
	}
	if _, known := t.Classes[bare(last)]; known && !t.is(bare(last), kind) {
		return fmt.Errorf("%q is no %s", id, kind)
	}
	return nil
}

// CheckEvent tells what is wrong with an event's data; nil if nothing is.
func (t *Table) CheckEvent(name, object string, data json.RawMessage) error {
	if t.Events[name] == nil {
		return fmt.Errorf("event %s isn't one of Kurento's", name)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("event %s: %w", name, err)
	}
	var source, kind string
	if json.Unmarshal(m["source"], &source) != nil || source != object {
		return fmt.Errorf("event %s of %s has the source %s", name, object, m["source"])
	}
	_, typed := m["type"]
	if typed && name != "Error" && (json.Unmarshal(m["type"], &kind) != nil || kind != name) {
		return fmt.Errorf("event %s has the type %s", name, m["type"])
	}
	if err := t.checkFields(t.fields(t.Events, name), m); err != nil {
		return fmt.Errorf("event %s: %w", name, err)
	}
	return nil
}

// wrong is a value that no parameter of a type may have.
func (t *Table) wrong(kind string) any {
	switch {
	case strings.HasSuffix(kind, "[]"), strings.HasSuffix(kind, "<>"):
		return 7
	case kind == "String":
		return map[string]any{}
	case t.ComplexTypes[kind] != nil && t.ComplexTypes[kind].Format != "ENUM":
		return 7
	case t.Classes[kind].Type != "":
		return []any{}
	}
	return "no such value"
}
