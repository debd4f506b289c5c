// Command build bundles the page: web/src and what it imports from web/node_modules go into web/dist, which package web
// embeds. It is run by go generate, in the folder web, after npm ci; -test runs the TypeScript tests instead.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	dir := flag.String("dir", ".", "folder that holds src, node_modules and dist")
	tests := flag.Bool("test", false, "run src/*.test.ts with node instead of building")
	flag.Parse()
	run := build
	if *tests {
		run = runTests
	}
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// options are what the page and its tests have in common.
func options(dir string) api.BuildOptions {
	return api.BuildOptions{
		AbsWorkingDir:   dir,
		Bundle:          true,
		Target:          api.ES2022,
		JSX:             api.JSXAutomatic,
		JSXImportSource: "preact",
		Charset:         api.CharsetUTF8,
		LogLevel:        api.LogLevelWarning,
		Define:          map[string]string{"process.env.NODE_ENV": `"production"`},
		Plugins:         []api.Plugin{replace(dir)},
	}
}

func build(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	o := options(dir)
	o.EntryPoints = []string{"src/main.tsx", "src/style.css", "src/icon.svg", "src/report.tsx", "src/report.css"}
	o.Loader = map[string]api.Loader{".svg": api.LoaderCopy}
	o.Outdir = "dist/assets"
	o.EntryNames = "[name]-[hash]"
	o.Platform = api.PlatformBrowser
	o.Format = api.FormatIIFE
	o.MinifyWhitespace, o.MinifyIdentifiers, o.MinifySyntax = true, true, true
	o.LegalComments = api.LegalCommentsNone // licenses.txt holds them all
	o.Metafile = true
	result := api.Build(o)
	if n := len(result.Errors); n > 0 {
		return fmt.Errorf("%d errors", n)
	}

	dist := filepath.Join(dir, "dist")
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dist, "assets"), 0o755); err != nil {
		return err
	}
	built := map[string]string{} // "main.js" to "assets/main-HASH.js"
	for _, f := range result.OutputFiles {
		name := filepath.Base(f.Path)
		packed, err := pack(f.Contents)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dist, "assets", name+".gz"), packed, 0o644); err != nil {
			return err
		}
		stem, _, _ := strings.Cut(name, "-")
		built[stem+filepath.Ext(name)] = "assets/" + name
	}
	if err := pages(dir, built); err != nil {
		return err
	}
	if err := licenses(dir, result.Metafile); err != nil {
		return err
	}
	return seal(dir)
}

// pack compresses what is served: nearly every browser asks for gzip, and the binary holds it only once.
func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// pages writes dist/index.html, the softphone, and dist/report.html with the hashed names of what was built. Each loads its own
// script: who telephones doesn't wait for plots.
func pages(dir string, built map[string]string) error {
	used := map[string]bool{}
	for _, page := range []string{"index.html", "report.html"} {
		b, err := os.ReadFile(filepath.Join(dir, "src", page))
		if err != nil {
			return err
		}
		text := string(b)
		for name, path := range built {
			mark := "{{" + name + "}}"
			used[name] = used[name] || strings.Contains(text, mark)
			text = strings.ReplaceAll(text, mark, "/"+path)
		}
		if i := strings.Index(text, "{{"); i >= 0 {
			return fmt.Errorf("src/%s uses %.30q, which wasn't built", page, text[i:])
		}
		if err := os.WriteFile(filepath.Join(dir, "dist", page), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name := range built {
		if !used[name] {
			return fmt.Errorf("no page uses {{%s}}, but it was built", name)
		}
	}
	return nil
}

// licenses writes dist/licenses.txt: the licence of each package whose code is in the bundle.
func licenses(dir, metafile string) error {
	var meta struct {
		Inputs map[string]struct{} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return err
	}
	var packages []string
	for in := range meta.Inputs {
		rest, ok := strings.CutPrefix(in, "node_modules/")
		if !ok {
			continue
		}
		parts := strings.SplitN(rest, "/", 3)
		name := parts[0]
		if strings.HasPrefix(name, "@") {
			name += "/" + parts[1]
		}
		if !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	slices.Sort(packages)
	var b strings.Builder
	b.WriteString("The softphone page and the page of reports contain these packages, of JsSIP what the page uses.\n")
	for _, name := range packages {
		folder := filepath.Join(dir, "node_modules", filepath.FromSlash(name))
		var about struct{ Version, License string }
		raw, err := os.ReadFile(filepath.Join(folder, "package.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &about); err != nil {
			return fmt.Errorf("package.json of %s: %w", name, err)
		}
		text, err := licenseText(folder)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n\n%s\n", strings.Repeat("=", 72), name, about.Version, about.License, text)
	}
	return os.WriteFile(filepath.Join(dir, "dist", "licenses.txt"), []byte(b.String()), 0o644)
}

func licenseText(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if up := strings.ToUpper(e.Name()); strings.HasPrefix(up, "LICENSE") || strings.HasPrefix(up, "LICENCE") {
			text, err := os.ReadFile(filepath.Join(folder, e.Name()))
			return strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")), err
		}
	}
	return "", fmt.Errorf("no licence file in %s", folder)
}

// runTests bundles every src/*.test.ts and runs them with node's own test runner.
func runTests(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "src", "*.test.ts"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no test in %s", filepath.Join(dir, "src"))
	}
	out, err := os.MkdirTemp("", "patchbay-page-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	o := options(dir)
	o.EntryPoints = files
	o.Outdir = out
	o.OutExtension = map[string]string{".js": ".mjs"}
	o.Platform = api.PlatformNode
	o.Format = api.FormatESModule
	o.Write = true
	if result := api.Build(o); len(result.Errors) > 0 {
		return fmt.Errorf("%d errors", len(result.Errors))
	}
	built, err := filepath.Glob(filepath.Join(out, "*.mjs"))
	if err != nil {
		return err
	}
	cmd := exec.Command("node", append([]string{"--test"}, built...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("node --test: %w", err)
	}
	return nil
}
