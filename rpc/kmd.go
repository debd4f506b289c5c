package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// kmd is a module description in the form of Kurento's *.kmd.json.
type kmd struct {
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	Requires      string            `json:"kurentoVersion,omitempty"`
	Code          kmdCode           `json:"code"`
	RemoteClasses []kmdClass        `json:"remoteClasses"`
	ComplexTypes  []TypeDescription `json:"complexTypes"`
	Events        []TypeDescription `json:"events"`
}

type kmdCode struct {
	API struct {
		Java *struct {
			Package string `json:"packageName"`
		} `json:"java,omitempty"`
		JS *struct {
			Node string `json:"nodeName"`
		} `json:"js,omitempty"`
	} `json:"api"`
	Implementation struct {
		Namespace string `json:"cppNamespace"` // what clients use for the prefix of type names
	} `json:"implementation"`
}

type kmdClass struct {
	Name        string            `json:"name"`
	Doc         string            `json:"doc"`
	Extends     string            `json:"extends,omitempty"`
	Abstract    bool              `json:"abstract,omitempty"`
	Constructor *kmdConstructor   `json:"constructor,omitempty"`
	Properties  []PropDescription `json:"properties,omitempty"`
	Methods     []OpDescription   `json:"methods,omitempty"`
	Events      []string          `json:"events,omitempty"`
}

type kmdConstructor struct {
	Doc    string      `json:"doc"`
	Params []ParamDesc `json:"params"`
}

// Kmd is a module's description in Kurento's own form, from which its SDKs' modules are generated. It fails with Undefined
// for a module that there isn't. The text isn't to be changed.
func (c *Classes) Kmd(module string) ([]byte, error) {
	c.Seal()
	if text, ok := c.kmds.Load(module); ok { // a client may ask often
		return text.([]byte), nil
	}
	m := c.modules[module]
	if m == nil {
		return nil, Errorf(Undefined, "Requested kmd module '%s' doesn't exist", brief(module))
	}
	k := kmd{Name: m.Name, Version: m.Version, Requires: m.Requires,
		RemoteClasses: []kmdClass{}, ComplexTypes: []TypeDescription{}, Events: []TypeDescription{}}
	k.Code.Implementation.Namespace = m.namespace()
	if m.Java != "" {
		k.Code.API.Java = &struct {
			Package string `json:"packageName"`
		}{m.Java}
	}
	if m.NPM != "" {
		k.Code.API.JS = &struct {
			Node string `json:"nodeName"`
		}{m.NPM}
	}
	for _, e := range c.entries {
		if e.module == m {
			k.RemoteClasses = append(k.RemoteClasses, c.kmdClass(e))
		}
	}
	complexTypes, events := c.DescribeTypes()
	for _, t := range complexTypes {
		if t.Module == module {
			k.ComplexTypes = append(k.ComplexTypes, t)
		}
	}
	for _, t := range events {
		if t.Module == module {
			k.Events = append(k.Events, t)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // maps are named T<>
	enc.SetIndent("", "  ")
	if err := enc.Encode(k); err != nil {
		return nil, fmt.Errorf("kmd of %s: %w", module, err)
	}
	c.kmds.Store(module, b.Bytes())
	return b.Bytes(), nil
}

func (c *Classes) kmdClass(e *entry) kmdClass {
	d := kmdClass{Name: e.class.Name, Doc: e.class.Doc, Abstract: e.class.Abstract, Events: e.class.Events}
	d.Properties, d.Methods = c.own(e, e)
	if e.base != nil {
		d.Extends = e.base.class.Name
	}
	if e.build != nil {
		d.Constructor = &kmdConstructor{Params: c.params(e.build)}
	}
	return d
}
