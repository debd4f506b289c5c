package billing

import (
	"context"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// What INVITEs said of the caller, and what names the call in other networks' records, is in the database and read from there.
func TestClaimsAreOnRecord(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	s := open(t, c)
	e := story(time.Now(), 1)
	start, caller, callee := e[0].Data.(call.Start), e[1].Data.(call.LegNew), e[3].Data.(call.LegNew)
	start.ICID, start.ICIDAt, start.OrigIOI, start.TermIOI = "4711", "192.0.2.9", "home1.net", "home2.net"
	caller.Claims = call.Claims{PPI: "<sip:a@home1.net>", RPID: "<sip:b@home1.net>", Privacy: "id", HistoryInfo: "<sip:c@home1.net>;index=1", Charging: "icid-value=4711\x00", Access: "IEEE-802.11"}
	callee.Privacy = "none"
	e[0].Data, e[1].Data, e[3].Data = start, caller, callee
	commit(t, s, e...)
	eventually(t, "the call is in the database", func() bool { return s.Stats().Projected == 12 })
	caller.Charging = "icid-value=4711\uFFFD" // no text of the database has the character 0
	r := decks(t, c)
	list, err := r.List(ctx, Filter{})
	if err != nil || len(list) != 1 || len(list[0].Legs) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	got := list[0]
	if got.ICID != "4711" || got.ICIDAt != "192.0.2.9" || got.OrigIOI != "home1.net" || got.TermIOI != "home2.net" {
		t.Errorf("%+v", got)
	}
	for i, want := range []call.Claims{caller.Claims, callee.Claims} {
		if got.Legs[i].Claims != want {
			t.Errorf("leg %d: %+v, expected %+v", i+1, got.Legs[i].Claims, want)
		}
	}
}
