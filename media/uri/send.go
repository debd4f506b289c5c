package uri

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// tries is how often a recording, or a part of one, is sent before that is given up, with pauses between them.
const tries = 4

// send uploads a file: into the object store, or by PUT, or by POST to a server that knows no PUT.
func (o *Opener) send(ctx context.Context, t *Target) error {
	whole := io.NewSectionReader(t.file, 0, t.size)
	if t.place.scheme == "s3" {
		return o.store(ctx, t.place, whole)
	}
	q := request{method: http.MethodPut, url: t.place.url, body: whole, kind: contentType(t.place.Ext())}
	return o.persist(ctx, func() (int, error) {
		r, err := o.ask(ctx, o.client, q)
		if q.method == http.MethodPut && (r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed || r.status == http.StatusNotImplemented) {
			q.method = http.MethodPost
			r, err = o.ask(ctx, o.client, q)
		}
		return r.status, err
	})
}

// persist does something until it works, or until it is clear that it won't.
func (o *Opener) persist(ctx context.Context, do func() (status int, err error)) (err error) {
	for i := range tries {
		if i > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(time.Duration(1<<(2*i-2)) * o.cfg.Stall / 20):
			}
		}
		var status int
		status, err = do()
		refused := errors.Is(err, ErrRefused) || errors.Is(err, ErrURI) || errors.Is(err, ErrHop)
		if err == nil || refused || status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
			return err
		}
	}
	return err
}

// request is one that sends something.
type request struct {
	method string
	url    *url.URL
	body   *io.SectionReader // nil = none
	kind   string            // of the body (Content-Type); "" = it isn't told
	signed bool              // as the object store wants it
}

// reply is what a server said. Its status is 0 if it said nothing.
type reply struct {
	status int
	head   http.Header
	text   []byte // of its body, the first 64 KiB
}

// ask makes a request; any status but those of success is an error. The server is given up when it takes nothing, or says nothing, for
// the opener's Stall.
func (o *Opener) ask(ctx context.Context, client *http.Client, q request) (reply, error) {
	ctx, give := context.WithCancel(ctx)
	defer give()
	watch := time.AfterFunc(o.cfg.Stall, give)
	defer watch.Stop()
	moves := func(r io.Reader) *moving { return &moving{r: r, every: o.cfg.Stall, watch: watch} }
	whole := func() io.Reader { return io.NewSectionReader(q.body, 0, q.body.Size()) }
	to, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), nil)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %s", ErrURI, q.url.Redacted())
	}
	if q.body != nil && q.body.Size() > 0 {
		to.Body, to.ContentLength = moves(whole()), q.body.Size()
		to.GetBody = func() (io.ReadCloser, error) { return moves(whole()), nil } // for redirects that repeat the request
	}
	if q.kind != "" {
		to.Header.Set("Content-Type", q.kind)
	}
	if q.signed {
		var signed io.Reader = http.NoBody
		if q.body != nil {
			signed = whole()
		}
		if err := o.cfg.S3.sign(to, signed, time.Now()); err != nil {
			return reply{}, err
		}
		watch.Reset(o.cfg.Stall)
	}
	to.Header.Set("User-Agent", "Patchbay")
	r, err := client.Do(to)
	if err != nil {
		if ctx.Err() != nil {
			err = ErrStalled
		}
		return reply{}, plain(err)
	}
	text, lost := io.ReadAll(io.LimitReader(moves(r.Body), 64<<10)) // to its end, so that the connection can be used again
	lost = errors.Join(lost, r.Body.Close())
	out := reply{r.StatusCode, r.Header, text}
	switch {
	case r.StatusCode < 200 || r.StatusCode > 299:
		return out, fmt.Errorf("%w: %s", ErrServer, cmp.Or(reason(q, out), fmt.Sprintf("%.60s", r.Status)))
	case q.signed && lost != nil: // what the store says there counts
		return out, ErrBroken
	}
	return out, nil
}

// reason is what the object store says is wrong; "" = nothing.
func reason(q request, r reply) string {
	if code := refusal(r.text); q.signed && code != "" {
		return fmt.Sprintf("%d %s", r.status, code)
	}
	return ""
}

// moving is a body whose server is given up when it takes, or sends, nothing more.
type moving struct {
	r     io.Reader
	every time.Duration
	watch *time.Timer
}

func (m *moving) Read(p []byte) (int, error) {
	m.watch.Reset(m.every)
	return m.r.Read(p)
}

func (m *moving) Close() error { return nil }

// contentType is what a file's name says of it.
func contentType(ext string) string {
	switch ext {
	case ".wav":
		return "audio/wav"
	case ".webm":
		return "video/webm"
	case ".mkv", ".mka":
		return "video/x-matroska"
	case ".mp4", ".m4a", ".m4v":
		return "video/mp4"
	case ".flv":
		return "video/x-flv"
	case ".ogg", ".opus":
		return "audio/ogg"
	}
	return "application/octet-stream"
}
