package call_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// An event is read the same however its members stand; what is no event isn't one in whatever order.
func TestEventOrder(t *testing.T) {
	e := call.Event{Call: call.NewID(), Seq: 7, At: time.Date(2026, 5, 4, 3, 2, 1, 5000, time.UTC), Mono: 12, Leg: 2,
		Data: call.Note{Text: `<a> & "b" ,"data":{}`}}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	head, data, ok := strings.Cut(strings.TrimSuffix(string(b), "}"), `,"data":`)
	if !ok {
		t.Fatalf("no data in %s", b)
	}
	for name, text := range map[string]string{
		"as written":        string(b),
		"with spaces":       head + " , \"data\" :\n " + data + " }",
		"data first":        `{"data":` + data + "," + head[1:] + "}",
		"data in the midst": `{"leg":2,"data":` + data + "," + strings.Replace(head[1:], `"leg":2,`, "", 1) + "}",
		"more than we know": `{"x":{"a":1,"data":2},` + head[1:] + `,"data":` + data + "}",
	} {
		var got call.Event
		if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s: %s is read as %+v, %v; expected %+v", name, text, got, err, e)
		}
	}
	for _, text := range []string{head + `,"data":` + data, head + `,"data":}`, head + `,"data":` + data + "}}", head + `,"data":[` + data + "]}", head + "}",
		strings.Replace(string(b), `"kind":"note"`, `"kind":"nothing"`, 1)} {
		var got call.Event
		if err := got.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", text, got)
		}
	}
}
