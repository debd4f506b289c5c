package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/player"
	"github.com/patchbay/patchbay/media/uri"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// postRoute is the pattern of the URLs that media is posted to. An id is a secret: who knows it may post.
const postRoute = "POST /media/{id}"

// preflightRoute is where a browser asks whether a page of another origin may post what isn't a form's.
const preflightRoute = "OPTIONS /media/{id}"

// posts are the endpoints that media can be posted to, by their ids.
type posts struct {
	mu sync.Mutex
	by map[string]*postElement
}

// postElement is an HttpPostEndpoint's.
type postElement struct {
	*player.Player
	s       *server
	id      string
	session func(on bool)
	timeout time.Duration
	next    chan posted // what is to be played

	mu     sync.Mutex
	busy   bool // somebody posts
	on     bool // the session
	quiet  *time.Timer
	closed bool
}

// posted is what somebody posts, while it comes.
type posted struct {
	*uri.Spool
	kind, name string
}

// newPost makes what stands behind an HttpPostEndpoint.
func (s *server) newPost(o kurento.PostOptions) (kurento.Post, error) {
	e := &postElement{s: s, id: strings.ToLower(rand.Text()), session: o.Session, timeout: o.Timeout, next: make(chan posted, 1)}
	var err error
	e.Player, err = player.New(player.Config{Clock: o.Pipeline.Clock(), Registry: o.Pipeline.Registry(), Open: e.open, Ahead: time.Millisecond, Post: notices(o.Notify)})
	if err != nil {
		return nil, err
	}
	s.posts.mu.Lock()
	defer s.posts.mu.Unlock()
	if s.posts.by == nil {
		s.posts.by = map[string]*postElement{}
	}
	s.posts.by[e.id] = e
	return e, nil
}

// URL is where media may be posted to.
func (e *postElement) URL() string {
	host := e.s.plain.Addr().String()
	if at, err := netip.ParseAddrPort(host); err == nil && at.Addr().IsUnspecified() {
		host = fmt.Sprintf("%s:%d", e.s.cfg.Node.Name, at.Port())
	}
	return "http://" + host + "/media/" + e.id
}

// open waits for what was posted, and for its head.
func (e *postElement) open(ctx context.Context) (player.Stream, error) {
	select {
	case p := <-e.next:
		stop := context.AfterFunc(ctx, func() { _ = p.Close() })
		defer stop()
		r, err := container.Open(p.Spool, p.name, p.kind)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		return postStream{r, p.Spool}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type postStream struct {
	container.Reader
	spool *uri.Spool
}

func (s postStream) Close() error { return s.spool.Close() }

// begin takes the endpoint for one who posts. It reports whether nobody else does, and nothing is being played.
func (e *postElement) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.busy || e.State() != player.Stopped {
		return false
	}
	e.busy = true
	if e.quiet != nil {
		e.quiet.Stop()
	}
	if !e.on {
		e.on = true
		e.session(true)
	}
	return true
}

// done gives it back: the session ends unless somebody posts again soon.
func (e *postElement) done() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy = false
	if e.closed {
		return
	}
	e.quiet = time.AfterFunc(e.timeout, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if !e.busy && e.on && !e.closed {
			e.on = false
			e.session(false)
		}
	})
}

// Close ends the endpoint; its URL is nobody's from now on.
func (e *postElement) Close() error {
	e.s.posts.mu.Lock()
	delete(e.s.posts.by, e.id)
	e.s.posts.mu.Unlock()
	e.mu.Lock()
	e.closed = true
	if e.quiet != nil {
		e.quiet.Stop()
	}
	e.mu.Unlock()
	err := e.Player.Close()
	select {
	case p := <-e.next:
		err = errors.Join(err, p.Close())
	default:
	}
	return err
}

// takePreflight says that a page may post media, of any type (Fetch, CORS-preflight request). Which page may, the guard has looked at.
func takePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	letRead(w, r)
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	h.Set("Access-Control-Allow-Headers", "*") // there are no credentials but the URL
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// letRead lets the page that makes a request, which the guard has let pass, read the answer.
func letRead(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Origin")
	if page := r.Header.Get("Origin"); page != "" {
		w.Header().Set("Access-Control-Allow-Origin", page)
	}
}

// takePost plays what is posted, while it comes.
func (s *server) takePost(w http.ResponseWriter, r *http.Request) {
	letRead(w, r)
	s.posts.mu.Lock()
	e := s.posts.by[r.PathValue("id")]
	s.posts.mu.Unlock()
	if e == nil {
		problem(w, http.StatusNotFound, "there is no such endpoint")
		return
	}
	if !e.begin() {
		problem(w, http.StatusConflict, "the endpoint still plays what was posted before")
		return
	}
	defer e.done()
	body, p, err := postedMedia(r)
	if err == nil {
		p.Spool, err = s.files.NewSpool()
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	// The server's limits are for requests that are short.
	c := http.NewResponseController(w)
	end := time.Now().Add(s.cfg.Media.URLs.MaxTime)
	_ = c.SetReadDeadline(end)
	_ = c.SetWriteDeadline(end.Add(time.Minute))
	e.next <- p
	if err := e.Play(); err != nil {
		_ = p.Close() // nobody opens it
		problem(w, http.StatusGone, "the endpoint was released")
		return
	}
	err = s.files.Fill(p.Spool, body, func() { _ = c.SetReadDeadline(time.Now()) })
	if err == nil {
		p.End(io.EOF)
		w.WriteHeader(http.StatusOK)
		return
	}
	p.End(err)
	switch {
	case errors.Is(err, uri.ErrSize):
		problem(w, http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, uri.ErrClosed):
		problem(w, http.StatusGone, "the endpoint was released, or can't play this")
	default:
		problem(w, http.StatusBadRequest, "the media ended early")
	}
}

// postedMedia is the body, or the first file of a form.
func postedMedia(r *http.Request) (io.Reader, posted, error) {
	kind := r.Header.Get("Content-Type")
	if base, _, _ := mime.ParseMediaType(kind); base != "multipart/form-data" && base != "multipart/mixed" {
		return r.Body, posted{kind: kind}, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, posted{}, fmt.Errorf("the form can't be read: %w", err)
	}
	for {
		part, err := form.NextPart()
		if err != nil {
			return nil, posted{}, fmt.Errorf("the form has no file: %w", err)
		}
		if part.FileName() != "" || part.Header.Get("Content-Type") != "" {
			return part, posted{kind: part.Header.Get("Content-Type"), name: part.FileName()}, nil
		}
	}
}
