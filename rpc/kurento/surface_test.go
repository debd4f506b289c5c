package kurento_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc/kurento"
	"github.com/patchbay/patchbay/rpc/kurento/kurentotest"
)

// Every class answers as the table of the API says, or says that it is missing.
func TestSurface(t *testing.T) {
	api, err := kurentotest.ReadTable(table(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range kurento.Missing() {
		class, _, _ := strings.Cut(e.Member, ".")
		if _, ok := api.Classes[class]; !ok || !strings.HasSuffix(e.Reason, ".") {
			t.Errorf("%s is missing because of %q: want a member of Kurento's and a sentence", e.Member, e.Reason)
		}
	}
	for _, e := range kurento.Idle() {
		name, member, _ := strings.Cut(e.Member, ".")
		_, class := api.Classes[name]
		if known := strings.Contains(string(table(t)), `"`+name+`"`) && strings.Contains(string(table(t)), `"`+member); !class && !known || !strings.HasSuffix(e.Reason, ".") {
			t.Errorf("%s does nothing because of %q: want a member of Kurento's and a sentence", e.Member, e.Reason)
		}
	}
	r := newRig(t, kurento.Config{})
	client := kurentotest.Scoped(t.Context(), r.a)
	kurentotest.Surface(t, kurentotest.Config{Table: api, Missing: api.Creatable(kurento.Config{}.Missing())}, client)
}
