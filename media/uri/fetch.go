package uri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// maxHops is how many redirects are followed.
const maxHops = 5

func (o *Opener) newClient() *http.Client {
	t := &http.Transport{
		DialContext: o.DialContext, TLSHandshakeTimeout: o.cfg.Stall, ResponseHeaderTimeout: o.cfg.Stall, IdleConnTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, Protocols: new(http.Protocols),
	} // no Proxy: it would be asked for addresses that we may not reach
	t.Protocols.SetHTTP1(true)
	return &http.Client{Transport: t, CheckRedirect: o.follow}
}

// follow says whether a redirect is followed; where its host leads to, DialContext looks at.
func (o *Opener) follow(to *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch s := to.URL.Scheme; {
	case len(via) > maxHops:
		return fmt.Errorf("%w: %d times", ErrHop, len(via))
	case s != "http" && s != "https" || !slices.Contains(o.cfg.Schemes, s) || s == "http" && from.Scheme == "https":
		return fmt.Errorf("%w: from %s to %.20q", ErrHop, from.Scheme, s)
	case to.Method != via[0].Method: // a recording isn't sent by asking for a page
		return fmt.Errorf("%w: %s %s would become %s; 307 and 308 say that it stays", ErrHop, via[0].Method, to.Response.Status, to.Method)
	}
	return nil
}

// Moved says whether a redirect of RTSP is followed, the hop-th one from 1: to RTSP, and not from TLS to none.
func (o *Opener) Moved(from, to *url.URL, hop int) error {
	switch s := to.Scheme; {
	case hop > maxHops:
		return fmt.Errorf("%w: %d times", ErrHop, hop)
	case s != "rtsp" && s != "rtsps" || !slices.Contains(o.cfg.Schemes, s) || s == "rtsp" && from.Scheme == "rtsps" || to.Hostname() == "":
		return fmt.Errorf("%w: from %s to %.20q", ErrHop, from.Scheme, s)
	}
	return nil
}

// fetch begins a download.
func (o *Opener) fetch(ctx context.Context, p Place) (*File, error) {
	life, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.cfg.MaxTime)
	stop := context.AfterFunc(ctx, cancel)
	r, err := o.get(life, p)
	if !stop() && err == nil {
		err = errors.Join(fmt.Errorf("%s: %w", p, context.Cause(ctx)), r.Body.Close())
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s, err := o.NewSpool()
	if err != nil {
		cancel()
		return nil, errors.Join(err, r.Body.Close())
	}
	var done sync.WaitGroup
	done.Go(func() {
		defer func() { _ = r.Body.Close() }() // its end is known
		err := o.Fill(s, r.Body, func() { cancel() })
		if err == nil && r.ContentLength >= 0 {
			if n, _ := s.Size(); n != r.ContentLength {
				err = ErrBroken
			}
		}
		if err != nil {
			s.End(fmt.Errorf("%s: %w", p, plain(err)))
			return
		}
		s.End(io.EOF)
	})
	return &File{ReaderAt: s, size: s.Size, Type: r.Header.Get("Content-Type"), Name: p.String(), close: func() error {
		cancel()
		err := s.Close()
		done.Wait()
		return err
	}}, nil
}

func (o *Opener) get(ctx context.Context, p Place) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrURI, p)
	}
	q.Header.Set("User-Agent", "Patchbay")
	r, err := o.client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, plain(err))
	}
	switch {
	case r.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %w: %.60s", p, ErrServer, r.Status)
	case r.ContentLength > o.cfg.MaxSize:
		err = fmt.Errorf("%s: %w: %d bytes, at most %d", p, ErrSize, r.ContentLength, o.cfg.MaxSize)
	default:
		return r, nil
	}
	return nil, errors.Join(err, r.Body.Close())
}

// Fill copies what comes into a spool, until its end. When nothing comes for the opener's Stall it calls give, which has r
// fail, and returns ErrStalled.
func (o *Opener) Fill(s *Spool, r io.Reader, give func()) error {
	var stalled bool
	var mu sync.Mutex
	watch := time.AfterFunc(o.cfg.Stall, func() {
		mu.Lock()
		stalled = true
		mu.Unlock()
		give()
	})
	defer watch.Stop()
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		watch.Reset(o.cfg.Stall)
		if n > 0 {
			if _, err := s.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			mu.Lock()
			defer mu.Unlock()
			if stalled {
				return ErrStalled
			}
			return err
		}
	}
}

// plain is an HTTP client's error without the URL in front, which may hold a password.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return ErrStalled
		}
		err = e.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return ErrBroken
	}
	return err
}
