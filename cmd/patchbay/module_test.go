package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/rpc/js"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// The npm module is what the table of classes makes of it, and has the module's version.
func TestTelephonyModule(t *testing.T) {
	c, _, _ := elementClasses(kurento.Config{}, telephony.Config{})
	kmd, err := c.Kmd(telephony.Name)
	if err != nil {
		t.Fatal(err)
	}
	index, err := js.Index(kmd)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"telephony.kmd.json": kmd, "index.js": index} {
		path := filepath.Join("../../rpc/js", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s isn't what the classes are now (%v): run go test ./cmd/patchbay -run TestTelephonyModule -update", path, err)
		}
	}
	var about struct{ Name, Version string }
	b, err := os.ReadFile("../../rpc/js/package.json")
	if err != nil || json.Unmarshal(b, &about) != nil || about.Version != telephony.Version || about.Name != telephony.Module().NPM {
		t.Errorf("package.json says %+v (%v), the module is %s %s", about, err, telephony.Module().NPM, telephony.Version)
	}
}
