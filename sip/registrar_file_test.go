package sip

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
)

// keeping makes a registrar with a file, and tells what it says of users.
func keeping(t testing.TB, file string, change func(*RegistrarConfig)) (*Registrar, *[]string) {
	t.Helper()
	server, err := auth.NewServer(auth.ServerConfig{Realm: "home.test", Lookup: func(string, string) (auth.Credentials, bool) { return auth.Credentials{}, false }})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	cfg := RegistrarConfig{Auth: server, File: file, Changed: func(user string, online bool) { told = append(told, fmt.Sprint(user, online)) }}
	if change != nil {
		change(&cfg)
	}
	r, err := NewRegistrar(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close() })
	return r, &told
}

// puts registers a contact as a REGISTER would.
func (r *Registrar) puts(user, uri, network string, left time.Duration) {
	u, err := ParseURI(uri)
	if err != nil {
		panic(err)
	}
	now := time.Now()
	c := Contact{URI: u, Expires: now.Add(left), Q: 0.5, Source: netip.MustParseAddrPort("192.0.2.7:5062"), Network: network,
		UserAgent: "desk \"phone\"", Instance: "<urn:uuid:1>", CallID: "abc@desk", CSeq: 7, at: now}
	r.mu.Lock()
	b := r.users[user]
	if b == nil {
		b = &bindings{}
		r.users[user] = b
	}
	r.swap(b, append(append([]Contact(nil), b.contacts...), c))
	r.arm(user, b)
	r.mu.Unlock()
}

// A connection over which nobody is registered ends without a look at each user, whoever opens and closes thousands of them.
func TestStrangersConnectionsEnd(t *testing.T) {
	r, told := keeping(t, "", nil)
	for i := range 100 {
		r.puts(fmt.Sprint("user", i), "sip:a@10.0.0.5:5062", "tcp", time.Minute)
	}
	phone, stranger := new(flow.Flow), new(flow.Flow)
	r.mu.Lock()
	b := r.users["user7"]
	c := b.contacts[0]
	c.flow = phone
	r.swap(b, []Contact{c})
	r.mu.Unlock()
	if n := testing.AllocsPerRun(10, func() { r.lost(stranger) }); n != 0 {
		t.Errorf("%g allocations for a stranger", n)
	}
	r.lost(phone)
	if len(r.Contacts("user7")) != 0 || len(r.Contacts("user8")) != 1 || len(r.flows) != 1 || len(*told) != 0 {
		t.Errorf("the phone's contacts %v, another's %v, %d connections, told %v", r.Contacts("user7"), r.Contacts("user8"), len(r.flows), *told)
	}
}

func TestBindingsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "registrations.json")
	r, _ := keeping(t, file, nil)
	r.puts("alice", "sip:alice@10.0.0.5:5062;ob", "udp", time.Minute)
	r.puts("alice", "sip:alice@10.0.0.6;transport=tcp", "tcp", time.Minute) // its connection won't survive
	r.puts("bob", "sip:bob@10.0.0.7", "udp", time.Nanosecond)
	r.puts("carol", "sip:carol@10.0.0.8", "tcp", time.Minute)
	want := r.Contacts("alice")[0]
	if want.Network != "udp" {
		want = r.Contacts("alice")[1]
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal("the second time: ", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file %v, %v: expected mode 0600", info, err)
	}
	r, told := keeping(t, file, nil)
	if got := r.Users(); len(got) != 1 || got[0] != "alice" || len(*told) != 1 || (*told)[0] != "alicetrue" {
		t.Errorf("users %v, told %v", got, *told)
	}
	list := r.Contacts("alice")
	if len(list) != 1 {
		t.Fatalf("contacts %+v", list)
	}
	c := list[0]
	if c.URI.String() != want.URI.String() || !c.Expires.Equal(want.Expires) || c.Source != want.Source || c.Q != want.Q || c.CSeq != 7 ||
		c.CallID != want.CallID || c.Instance != want.Instance || c.UserAgent != want.UserAgent || c.Network != "udp" {
		t.Errorf("contact %+v, expected %+v", c, want)
	}
	if d := c.Destination(); d.Addr != want.Source || d.Network != "udp" {
		t.Errorf("destination %+v", d)
	}
	if !r.Knows(netip.MustParseAddr("192.0.2.7")) {
		t.Error("the phone is a stranger")
	}
}

func TestBindingsAreWrittenSoon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registrations.json")
	r, _ := keeping(t, file, nil)
	began := time.Now()
	for i := range 50 {
		r.puts("alice", fmt.Sprintf("sip:alice@10.0.0.5:%d", 5000+i), "udp", time.Minute)
	}
	var k kept
	for {
		if b, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(b, &k); err != nil {
				t.Fatal("half a file: ", err)
			}
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("not written")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(k.Users["alice"]); n != 50 {
		t.Errorf("%d contacts in the first write, expected all 50", n)
	}
	if took := time.Since(began); took < keepDelay/2 || took > 10*time.Second {
		t.Errorf("written after %v", took)
	}
	if _, err := os.Stat(file + ".tmp"); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
}

// Whether a write begins before or after the end, the file has what was last.
func TestClosedAsItWrites(t *testing.T) {
	for i := range 30 {
		file := filepath.Join(t.TempDir(), "registrations.json")
		r, _ := keeping(t, file, nil)
		r.puts("alice", "sip:alice@10.0.0.5:5062", "udp", time.Minute)
		r.mu.Lock()
		r.file.timer.Reset(time.Duration(i) * 10 * time.Microsecond)
		r.mu.Unlock()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		again, _ := keeping(t, file, nil)
		if got := again.Users(); len(got) != 1 {
			t.Fatalf("users %v", got)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBindingsExpireAfterRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registrations.json")
	r, _ := keeping(t, file, nil)
	r.puts("alice", "sip:alice@10.0.0.5", "udp", 100*time.Millisecond)
	r.puts("dave", "sip:dave@10.0.0.9", "udp", 100*24*time.Hour) // a clock was wrong
	r.puts("erin", "sip:erin@10.0.0.9", "udp", time.Minute)      // is no user any more
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r, _ = keeping(t, file, func(c *RegistrarConfig) { c.Known = func(user string) bool { return user != "erin" } })
	for end := time.Now().Add(5 * time.Second); len(r.Users()) != 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("users %v, expected dave alone", r.Users())
		}
	}
	if left := time.Until(r.Contacts("dave")[0].Expires); left > time.Hour {
		t.Errorf("dave is kept for %v", left)
	}
}

func TestDamagedBindings(t *testing.T) {
	soon := time.Now().Add(time.Minute).Format(time.RFC3339Nano)
	good := `{"uri":"sip:a@10.0.0.1","expires":"` + soon + `","q":1,"source":"10.0.0.1:5060"}`
	for name, x := range map[string]struct {
		text  string
		users int
	}{
		"empty":        {"", 0},
		"torn":         {`{"form":1,"users":{"alice":[{"uri":"sip:al`, 0},
		"another form": {`{"form":2,"users":{"alice":[` + good + `]}}`, 0},
		"no user":      {`{"form":1,"users":{"":[` + good + `]}}`, 0},
		"bad source":   {`{"form":1,"users":{"alice":[` + strings.Replace(good, "10.0.0.1:5060", "0.0.0.0:0", 1) + `]}}`, 0},
		"bad URI":      {`{"form":1,"users":{"alice":[` + strings.Replace(good, "sip:a", "tel:a", 1) + `]}}`, 0},
		"injection":    {`{"form":1,"users":{"alice":[` + strings.Replace(good, "sip:a@", `sip:a\r\nX: y@`, 1) + `]}}`, 0},
		"bad q":        {`{"form":1,"users":{"alice":[` + strings.Replace(good, `"q":1`, `"q":7`, 1) + `]}}`, 0},
		"one is good":  {`{"form":1,"users":{"alice":[` + strings.Replace(good, `"q":1`, `"q":7`, 1) + `,` + good + `]}}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "registrations.json")
			if err := os.WriteFile(file, []byte(x.text), 0o600); err != nil {
				t.Fatal(err)
			}
			r, _ := keeping(t, file, nil)
			if got := r.Users(); len(got) != x.users {
				t.Errorf("users %v, expected %d", got, x.users)
			}
		})
	}
}

func TestBindingsThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "registrations.json")
	if err := os.WriteFile(filepath.Join(dir, "sub"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := keeping(t, file, nil)
	r.puts("alice", "sip:alice@10.0.0.5", "udp", time.Minute)
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "registrations") {
		t.Errorf("err %v", err)
	}
}

func FuzzBindings(f *testing.F) {
	f.Add([]byte(`{"form":1,"users":{"alice":[{"uri":"sip:a@10.0.0.1","expires":"2999-01-01T00:00:00Z","q":1,"source":"10.0.0.1:5060"}]}}`))
	f.Add([]byte(`{"form":1,"users":{"":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k kept
		if k.parse(b) != nil {
			return
		}
		r, _ := keeping(t, "", func(c *RegistrarConfig) { c.MaxContacts, c.MaxUsers = 2, 2 })
		now := time.Now()
		users, _ := r.adopt(k, now)
		if len(users) > 2 {
			t.Fatalf("%d users, expected 2 at most", len(users))
		}
		for _, u := range users {
			for _, c := range r.Contacts(u) {
				if c.URI.Check() != nil || !c.Source.IsValid() || c.Expires.After(now.Add(time.Hour)) {
					t.Fatalf("contact %+v", c)
				}
			}
		}
	})
}
