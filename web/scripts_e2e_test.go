//go:build e2e

package web_test

import (
	"os/exec"
	"testing"
)

// The page's own tests: types, words and numbers, and its grammar held against JsSIP's.
func TestBrowserScripts(t *testing.T) {
	for _, c := range [][]string{
		{"npm", "run", "--silent", "check"},
		{"go", "run", "./build", "-test"},
	} {
		out, err := exec.Command(c[0], c[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v (are the packages there? make e2e installs them)\n%s", c, err, out)
		}
	}
}
