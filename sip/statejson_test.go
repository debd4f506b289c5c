package sip

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

// TestStateJSON: what is appended is what encoding/json makes, whatever stands in any of the fields.
func TestStateJSON(t *testing.T) {
	texts := []string{"", "a", `"Ann" <sip:ann@example.com;tag=1>`, "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n", `back\slash`, "tab\tbell\a", "Zoë", "\xff", "\u2028&\x7f"}
	check := func(s State) {
		t.Helper()
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.AppendJSON([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	check(State{})
	// Each field alone, so that a field that was added and forgotten here shows.
	for i := range reflect.TypeFor[State]().NumField() {
		for j, text := range texts {
			var s State
			switch f := reflect.ValueOf(&s).Elem().Field(i); f.Kind() {
			case reflect.String:
				f.SetString(text)
			case reflect.Bool:
				f.SetBool(true)
			case reflect.Uint32:
				f.SetUint(uint64(j) * 1e8)
			case reflect.Slice:
				f.Set(reflect.ValueOf(texts[:j]))
			default:
				t.Fatalf("field %d is a %s", i, f.Kind())
			}
			check(s)
		}
	}
	check(State{UA: "u", CallID: "c", LocalTag: "l", RemoteTag: "r", Inbound: true, Phase: "early", Local: texts[2], Remote: texts[6], LocalCSeq: 1, RemoteCSeq: 1<<32 - 1,
		Target: "sip:b@192.0.2.1", Routes: texts, Contact: "<sip:192.0.2.2>", Network: "udp", Peer: "192.0.2.1:5060", RequestURI: "sip:b", Branch: "z9hG4bK1", InviteCSeq: 2,
		InviteRoutes: []string{"<sip:p;lr>"}, Invite: texts[3]})
}

func BenchmarkState(b *testing.B) {
	s := State{UA: "carrier", CallID: "1-2@192.0.2.1", LocalTag: "abcdef", Inbound: true, Phase: "early", Local: "<sip:b@192.0.2.1>", Remote: `"Ann" <sip:ann@example.com>`, Network: "udp", Peer: "192.0.2.1:5060",
		Invite: fmt.Sprintf("INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP %s\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b>\r\n\r\n", "192.0.2.1;branch=z9hG4bK1")}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			s.AppendJSON(make([]byte, 0, 1024))
		}
	})
	b.Run("encoding", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := json.Marshal(s); err != nil {
				b.Fatal(err)
			}
		}
	})
}
