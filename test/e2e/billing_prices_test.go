//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing/webhook"
	"github.com/patchbay/patchbay/test/peers"
)

// pricesHeard is a program that a webhook tells what calls cost.
type pricesHeard struct {
	url, secret string    // of the hook, and the file that has its secret
	later       time.Time // behind the activation of the first prices, before the first call

	mu    sync.Mutex
	rated map[string][]ratedMessage // by call, each message once
	wrong error
}

type ratedMessage struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Call struct {
		ID string `json:"id"`
	} `json:"call"`
	Ratings []struct {
		Side, Account, Amount string
		Revision              int
	} `json:"ratings"`
	Superseded []struct {
		Side, Amount, Currency string
		Revision               int
	} `json:"superseded"`
}

func hearsPrices(t *testing.T) *pricesHeard {
	t.Helper()
	p := &pricesHeard{secret: filepath.Join(t.TempDir(), "secret"), rated: map[string][]ratedMessage{}}
	if err := os.WriteFile(p.secret, []byte(webhookSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

func (p *pricesHeard) settings() string {
	return fmt.Sprintf("webhooks:\n  - {id: prices, url: %q, private: true, events: [rated], secret: \"file:%s\"}\n", p.url, p.secret)
}

func (p *pricesHeard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = webhook.Verify([]byte(webhookSecret), r.Header, body, time.Now(), 5*time.Minute)
	}
	var m ratedMessage
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || m.Type != "call.rated" {
		p.wrong = fmt.Errorf("%s: %w", body, err)
		return
	}
	for _, x := range p.rated[m.Call.ID] {
		if x.ID == m.ID {
			return
		}
	}
	p.rated[m.Call.ID] = append(p.rated[m.Call.ID], m)
}

// change makes what is sold dearer than it was, behind all calls, and rates those of the customer again: of each that was answered the
// program hears the new price and the old, of others nothing, of a dry run nothing. The command needs no secret: there is none any more.
func (p *pricesHeard) change(t *testing.T, g *gateway) {
	t.Helper()
	file := filepath.Join(peers.Folder(t), "dearer.csv")
	if err := os.WriteFile(file, []byte("prefix,destination,price,first,next,connect_fee\n49,Germany,0.1601,1,1,0.0107\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(p.secret); err != nil {
		t.Fatal(err)
	}
	g.CLI(t, "deck", "import", "sold", file, "--currency", "EUR")
	g.CLI(t, "deck", "activate", "sold", "--from", p.later.Format(time.RFC3339Nano))
	rerate := []string{"deck", "rerate", "--from", "1h", "--account", "trunk:customer"}
	g.CLI(t, append(rerate, "--dry-run")...)
	g.CLI(t, rerate...)
	twice := func() (list []ratedMessage) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, m := range p.rated {
			if len(m) > 1 {
				list = append(list, m...)
			}
		}
		return list
	}
	peers.Wait(t, 30*time.Second, "two calls to be told twice", func() bool { return len(twice()) == 4 })
	for i, m := range twice() {
		switch {
		case i%2 == 0 && m.Superseded == nil && len(m.Ratings) == 2:
		case i%2 == 1 && len(m.Superseded) == 1 && len(m.Ratings) == 1 && m.Ratings[0].Account == "trunk:customer" && m.Ratings[0].Revision == 1 && m.Superseded[0].Revision == 0 &&
			m.Superseded[0].Side == "sell" && m.Superseded[0].Currency == "EUR" && m.Superseded[0].Amount != "" && m.Superseded[0].Amount < m.Ratings[0].Amount:
		default:
			t.Errorf("message %d: %+v", i%2, m)
		}
	}
	if p.wrong != nil {
		t.Error(p.wrong)
	}
}
