package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// A page that may use this server may post media of any type, and read the answer; a browser is told so before. Another page may not.
func TestPagesPost(t *testing.T) {
	const page = "https://crm.example"
	s := startServer(t, func(c *Config) { c.Tokens, c.HTTP.Origins = nil, []string{page} })
	c := newMediaClient(t, s)
	e := c.make("HttpPostEndpoint", map[string]any{}, "EndOfStream")
	var url string
	if err := json.Unmarshal([]byte(c.call(e, "getUrl", nil)), &url); err != nil {
		t.Fatal(err)
	}
	ask := func(method, from string, body []byte) *http.Response {
		t.Helper()
		q, err := http.NewRequest(method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Origin", from)
		q.Header.Set("Content-Type", "audio/wav")
		if method == http.MethodOptions {
			q.Header.Set("Access-Control-Request-Method", http.MethodPost)
			q.Header.Set("Access-Control-Request-Headers", "content-type")
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return r
	}
	wave := waveFile(100 * time.Millisecond)
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		if r := ask(method, "https://evil.example", wave); r.StatusCode != http.StatusForbidden || r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s of another page: %s %v", method, r.Status, r.Header)
		}
	}
	// What is recorded of it ends with it, if that is wished.
	recorder := c.make("RecorderEndpoint", map[string]any{"uri": "posted.wav", "stopOnEndOfStream": true}, "Stopped")
	c.call(e, "connect", map[string]any{"sink": recorder})
	c.call(recorder, "record", nil)
	r := ask(http.MethodOptions, page, nil)
	if h := r.Header; r.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != page || h.Get("Access-Control-Allow-Methods") != "POST" ||
		h.Get("Access-Control-Allow-Headers") != "*" || h.Get("Vary") != "Origin" {
		t.Errorf("preflight: %s %v", r.Status, h)
	}
	if r := ask(http.MethodPost, page, wave); r.StatusCode != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("post: %s %v", r.Status, r.Header)
	}
	c.until("EndOfStream")
	c.until("Stopped")
}
