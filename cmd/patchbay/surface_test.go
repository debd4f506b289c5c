package main

import (
	"os"
	"testing"

	"github.com/patchbay/patchbay/rpc/kurento"
	"github.com/patchbay/patchbay/rpc/kurento/kurentotest"
)

// The running process has Kurento's surface, as its clients meet it.
func TestKurentoSurface(t *testing.T) {
	s := startServer(t)
	table, err := os.ReadFile("../../rpc/kurento/testdata/api.json")
	if err != nil {
		t.Fatal(err)
	}
	api, err := kurentotest.ReadTable(table)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kurentotest.Dial(t.Context(), "ws://"+s.plain+"/kurento")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	kurentotest.Surface(t, kurentotest.Config{Table: api, Missing: api.Creatable(kurento.Config{}.Missing())}, client)
}
