package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestPastIsTheUsersSide(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_700_000_000+int64(s), 0).UTC() }
	when := func(s int) *time.Time { x := at(s); return &x }
	// anna calls the desk; ben doesn't answer, the desk does at its second phone.
	c := &call.Call{ID: call.NewID(), User: "anna", From: "anna", FromN: "401", To: "400", SetupAt: at(0), AnsweredAt: when(9), EndedAt: when(19), Bill: 10_000,
		Cause: call.Cause{Q850: 16}, Legs: []*call.Leg{
			{No: 1, User: "anna", InviteAt: at(0), AnsweredAt: when(9), EndedAt: when(19), Media: call.Media{Codec: "OPUS/48000/2"}},
			{No: 2, User: "ben", InviteAt: at(1), EndedAt: when(5), Cause: call.NoAnswer},
			{No: 3, User: "desk", InviteAt: at(5), EndedAt: when(9), Cause: call.ElsewhereDone},
			{No: 4, User: "desk", InviteAt: at(5), AnsweredAt: when(9), EndedAt: when(19), Cause: call.Cause{Q850: 16}, Media: call.Media{Codec: "PCMU/8000"}},
			{No: 5, User: "desk", InviteAt: at(5), EndedAt: when(9), Cause: call.ElsewhereDone},
		}}
	const common = `"from":"401","to":"400",`
	for _, x := range []struct{ user, want string }{
		{"anna", `"direction":"out","startedAt":"2023-11-14T22:13:20Z","answeredAt":"2023-11-14T22:13:29Z","endedAt":"2023-11-14T22:13:39Z","durationMs":10000,"cause":16,"sip":null,"codec":"OPUS/48000/2"`},
		{"ben", `"direction":"in","startedAt":"2023-11-14T22:13:21Z","answeredAt":null,"endedAt":"2023-11-14T22:13:25Z","durationMs":null,"cause":19,"sip":480`},
		{"desk", `"direction":"in","startedAt":"2023-11-14T22:13:25Z","answeredAt":"2023-11-14T22:13:29Z","endedAt":"2023-11-14T22:13:39Z","durationMs":10000,"cause":16,"sip":null,"codec":"PCMU/8000"`},
	} {
		b, err := json.Marshal(pastOf(c, x.user))
		if want := fmt.Sprintf(`{"id":%q,%s%s}`, c.ID, common, x.want); err != nil || string(b) != want {
			t.Errorf("%s sees\n%s, want\n%s", x.user, b, want)
		}
	}
	c.Legs[1].FromURI = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	if p, own := pastOf(c, "ben"), pastOf(c, "anna"); p.From != "anonymous" || own.From != "401" {
		t.Errorf("ben sees that a private caller was %s, the caller itself sees %s", p.From, own.From)
	}
	c.EndedAt, c.Legs[0].EndedAt = nil, nil
	if p := pastOf(c, "anna"); p.EndedAt != nil || p.Cause != nil || p.DurationMS != nil || p.AnsweredAt == nil {
		t.Errorf("a call that runs: %+v", p)
	}
}

// overHTTP asks as a page does and returns the answer's status and body.
func (r *running) overHTTP(t *testing.T, method, path, token, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.secure+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://"+r.secure)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: r.roots}, Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b
}

func (r *running) token(t *testing.T, user, password string) string {
	t.Helper()
	var in loggedIn
	if code, b := r.overHTTP(t, "POST", "/api/v1/me/login", "", credentials(user, password)); code != 200 || json.Unmarshal(b, &in) != nil {
		t.Fatalf("login of %s: %d %s", user, code, b)
	}
	return in.Token
}

func TestUsersSeeTheirOwnCallsAlone(t *testing.T) {
	r := startServer(t)
	phones := map[string]*siptest.Phone{}
	for _, user := range []string{"anna", "ben"} {
		phones[user] = siptest.NewPhone(t, siptest.PhoneConfig{User: user, Password: user + "-secret", Server: r.sip})
		phones[user].Register()
	}
	out := phones["anna"].Dial("402")
	phones["ben"].Incoming().Accept()
	out.Wait(sip.KindAnswered)
	out.Bye()
	if e := phones["anna"].Dial("499").Wait(sip.KindEnded); e.Status != 404 {
		t.Errorf("a number that nobody has: %d", e.Status)
	}
	see := func(user string, n int) []pastCall {
		t.Helper()
		token := r.token(t, user, user+"-secret")
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			var list []pastCall
			code, b := r.overHTTP(t, "GET", "/api/v1/me/calls?limit=10", token, "")
			if err := json.Unmarshal(b, &list); code != 200 || err != nil {
				t.Fatalf("%d %s (%v)", code, b, err)
			}
			done := len(list) == n
			for _, c := range list {
				done = done && c.EndedAt != nil
			}
			if done {
				return list
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s sees %s, expected %d calls that ended", user, b, n)
			}
		}
	}
	anna, ben := see("anna", 2), see("ben", 1)
	if c := anna[0]; c.To != "499" || c.Direction != "out" || c.AnsweredAt != nil || c.SIP == nil || *c.SIP != 404 {
		t.Errorf("anna's last call: %+v", c)
	}
	for user, c := range map[string]pastCall{"anna": anna[1], "ben": ben[0]} {
		if c.From != "401" && c.From != "anna" || c.To != "402" || c.AnsweredAt == nil || c.Cause == nil || *c.Cause != 16 || c.Codec == "" || c.DurationMS == nil {
			t.Errorf("%s sees of the call between them: %+v", user, c)
		}
	}
	if ben[0].ID != anna[1].ID || ben[0].Direction != "in" || anna[1].Direction != "out" {
		t.Errorf("they see different calls: %+v, %+v", anna[1], ben[0])
	}
	// Only the newest.
	if _, b := r.overHTTP(t, "GET", "/api/v1/me/calls?limit=1", r.token(t, "anna", "anna-secret"), ""); !bytes.Contains(b, []byte(anna[0].ID.String())) || bytes.Contains(b, []byte(anna[1].ID.String())) {
		t.Errorf("limit 1 gives %s", b)
	}
}
