package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// ours are the modules that stand in the bundle for those JsSIP imports, by the last part of their names: its grammar, which a
// generator wrote and which was a quarter of the page, and the package debug.
var ours = [...]struct{ name, file string }{
	{"Grammar", "grammar.ts"},
	{"debug", "debug.cts"},
}

// unused are modules of JsSIP behind methods that the page doesn't call, UA.subscribe and UA.notify: in the bundle they are
// empty, and the methods throw a TypeError.
var unused = [...]string{"Subscriber", "Notifier"}

// replace changes what JsSIP's own modules import. Others get what they ask for: the tests hold our grammar against JsSIP's.
func replace(dir string) api.Plugin {
	const empty = "empty"
	return api.Plugin{Name: "replace", Setup: func(b api.PluginBuild) {
		for _, o := range ours {
			onImport(b, dir, o.name, api.OnResolveResult{Path: filepath.Join(dir, "src", o.file)})
		}
		for _, name := range unused {
			onImport(b, dir, name, api.OnResolveResult{Path: name, Namespace: empty})
		}
		b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: empty}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			none := ""
			return api.OnLoadResult{Contents: &none}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: `[\\/]node_modules[\\/]jssip[\\/]package\.json$`}, about)
	}}
}

// onImport sets what a module of JsSIP gets when it imports that name, from its own folder or the one above.
func onImport(b api.PluginBuild, dir, name string, result api.OnResolveResult) {
	library := filepath.Join(dir, "node_modules", "jssip") + string(filepath.Separator)
	filter := `^(\.{1,2}/)?` + regexp.QuoteMeta(name) + "$"
	b.OnResolve(api.OnResolveOptions{Filter: filter}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
		if !strings.HasPrefix(a.Importer, library) {
			return api.OnResolveResult{}, nil // the next rule's
		}
		return result, nil
	})
}

// about loads what JsSIP reads of its package.json, to tell others who it is.
func about(a api.OnLoadArgs) (api.OnLoadResult, error) {
	var pkg struct {
		Title   string `json:"title"`
		Version string `json:"version"`
	}
	raw, err := os.ReadFile(a.Path)
	if err != nil {
		return api.OnLoadResult{}, err
	}
	if err := json.Unmarshal(raw, &pkg); err != nil {
		return api.OnLoadResult{}, fmt.Errorf("%s: %w", a.Path, err)
	}
	if raw, err = json.Marshal(pkg); err != nil {
		return api.OnLoadResult{}, err
	}
	text := string(raw)
	return api.OnLoadResult{Contents: &text, Loader: api.LoaderJSON}, nil
}
