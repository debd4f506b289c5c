package main

import (
	"os"
	"strings"
	"testing"
)

// The page of classes is the table's print.
func TestClassesPage(t *testing.T) {
	got, err := os.ReadFile("../../docs/rpc-classes.md")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	root := newRootCommand()
	root.SetOut(&out)
	root.SetArgs([]string{"classes"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	want := out.String()
	if string(got) == want {
		return
	}
	have, wanted := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for i := range wanted {
		if i >= len(have) || have[i] != wanted[i] {
			t.Fatalf("docs/rpc-classes.md is stale: run make docs. Its first line that differs is %d, expected %q", i+1, wanted[i])
		}
	}
	t.Fatalf("docs/rpc-classes.md is stale: run make docs. It has %d lines, expected %d", len(have), len(wanted))
}
