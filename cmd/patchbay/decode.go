package main

import (
	"encoding"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	ha1Type      = reflect.TypeFor[HA1]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// decode reads a node into a value. What is wrong is reported and left out; the rest is read, so that one run tells all.
func (d *document) decode(n ast.Node, v reflect.Value, field string, depth int) {
	if depth > maxDepth {
		d.at(n, field, "nested deeper than any setting")
		return
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.at(n, field, "anchors, aliases and tags aren't read, expected the value itself")
		return
	}
	p := position(n)
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case v.Type() == ha1Type && single(n):
		d.decodeScalar(n, v.Field(0), field)
	case v.Kind() == reflect.Struct && !text:
		d.places[field] = p
		d.decodeStruct(n, v, field, depth)
	case v.Kind() == reflect.Slice:
		d.places[field] = p
		d.decodeList(n, v, field, depth)
	default:
		d.decodeScalar(n, v, field)
	}
}

func (d *document) decodeStruct(n ast.Node, v reflect.Value, field string, depth int) {
	if _, ok := n.(*ast.NullNode); ok {
		return // a section whose every line is commented out
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.at(n, field, "expected keys (%s), not %s", oneOf(keys(v.Type())), kind(n))
		return
	}
	seen := map[string]bool{}
	for _, e := range m.Values {
		key := e.Key.GetToken().Value
		path := key
		if field != "" {
			path = field + "." + key
		}
		i := slices.Index(keys(v.Type()), key)
		switch {
		case i < 0:
			d.at(e.Key, path, "unknown key, expected one of %s%s", strings.Join(keys(v.Type()), ", "), meant(key, keys(v.Type())))
		case seen[key]:
			d.at(e.Key, path, "this key stands here for the second time")
		default:
			seen[key] = true
			d.decode(e.Value, v.Field(i), path, depth+1)
		}
	}
}

// keys of a struct, in order; every field has one.
func keys(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}

// decodeList reads a list; a single scalar is a list of one. What is written replaces a default.
func (d *document) decodeList(n ast.Node, v reflect.Value, field string, depth int) {
	var entries []ast.Node
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.SequenceNode:
		entries = n.Values
	case *ast.MappingNode:
		d.at(n, field, "expected a list, not %s", kind(n))
		return
	default:
		if v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != prefixType {
			d.at(n, field, "expected a list, not %s", kind(n))
			return
		}
		entries = []ast.Node{n}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(entries), len(entries)))
	for i, e := range entries {
		d.decode(e, v.Index(i), fmt.Sprintf("%s[%d]", field, i), depth+1)
	}
}

func (d *document) decodeScalar(n ast.Node, v reflect.Value, field string) {
	p := position(n)
	p.secret = v.Type() == secretType
	raw, ok := scalar(n)
	p.raw, p.scalar = raw, ok
	d.places[field] = p
	switch {
	case !ok:
		d.at(n, field, "expected %s, not %s", expected(v), kind(n))
		return
	case isNull(n):
		d.at(n, field, "is empty, expected %s", expected(v))
		return
	}
	s, err := d.expand(raw)
	if err == nil && p.secret {
		s, err = d.secretFile(s)
	}
	if err != nil {
		d.bad(field, "%v", err)
		return
	}
	if err := set(v, s); err != nil {
		d.bad(field, "expected %s", expected(v))
	}
}

// scalar is what is written, so that 0049 stays a number to dial; false for a list or keys.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		return "", true
	}
	return "", false
}

func single(n ast.Node) bool {
	_, ok := scalar(n)
	return ok
}

func isNull(n ast.Node) bool {
	_, ok := n.(*ast.NullNode)
	return ok
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode:
		return "keys"
	}
	return "a single value"
}

// set reads a scalar into a value of any type that settings have.
func set(v reflect.Value, s string) error {
	switch {
	case v.Type() == durationType:
		t, err := duration(s)
		v.SetInt(int64(t))
		return err
	case v.Type() == prefixType:
		p, err := prefix(s)
		v.Set(reflect.ValueOf(p))
		return err
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if s == "" {
			return fmt.Errorf("empty")
		}
		return u.UnmarshalText([]byte(s))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("not a bool")
		}
		v.SetBool(s == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(s, 10, 32)
		v.SetInt(n)
		return err
	case reflect.Float64:
		n, err := strconv.ParseFloat(s, 64)
		if err == nil && (math.IsNaN(n) || math.IsInf(n, 0)) {
			err = fmt.Errorf("not finite")
		}
		v.SetFloat(n)
		return err
	case reflect.Uint16:
		n, err := strconv.ParseUint(s, 10, 16)
		v.SetUint(n)
		return err
	default:
		panic("settings have no fields of type " + v.Type().String())
	}
	return nil
}

func duration(s string) (time.Duration, error) {
	t, err := time.ParseDuration(s)
	if err == nil && t < 0 {
		err = fmt.Errorf("negative")
	}
	return t, err
}

// prefix takes a single address for the network of it alone.
func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// expected words what a field takes.
func expected(v reflect.Value) string {
	switch v.Interface().(type) {
	case time.Duration:
		return "a duration such as 500ms, 30s or 1h30m"
	case netip.AddrPort:
		return "an IP address and a port, such as 192.0.2.1:5060 or [2001:db8::1]:5060"
	case netip.Addr:
		return "an IP address, such as 192.0.2.1 or 2001:db8::1"
	case netip.Prefix:
		return "an IP address or network, such as 192.0.2.1 or 192.0.2.0/24"
	case Size:
		return "a size in B, KiB, MiB or GiB, such as 64MiB"
	case time.Time:
		return "a time such as 2030-12-31T23:59:59Z (RFC 3339)"
	case Secret:
		return "a secret: the text itself, ${NAME} or file:PATH"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Uint16:
		return "a whole number from 0 to 65535"
	}
	return "text"
}

// expand puts in the environment's variables for ${NAME}; $${ stands for ${ itself.
func (d *document) expand(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		name, rest, ok := strings.Cut(s[i+2:], "}")
		if !ok || name == "" || strings.Trim(name, envChars) != "" {
			return "", fmt.Errorf("expected ${NAME}, the name in capitals, digits and _ (write $${ for a plain ${)")
		}
		value, ok := d.env(name)
		if !ok {
			return "", fmt.Errorf("expected the environment to set %s", name)
		}
		b.WriteString(s[:i] + value)
		s = rest
	}
}

const envChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

// secretFile reads file:PATH; a relative path starts from the settings file's folder.
func (d *document) secretFile(s string) (string, error) {
	path, ok := strings.CutPrefix(s, "file:")
	if !ok {
		return s, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.dir, path)
	}
	pw, err := readSecretFile(path)
	if err != nil {
		return "", fmt.Errorf("expected a readable file: %w", err)
	}
	d.files = append(d.files, path)
	return string(pw), nil
}
