package uri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// tries is how often a recording is sent before that is given up, with pauses between them.
const tries = 4

// send uploads a file: by PUT, or by POST to a server that knows no PUT.
func (o *Opener) send(ctx context.Context, t *Target) (err error) {
	method := http.MethodPut
	for i := range tries {
		if i > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(time.Duration(1<<(2*i-2)) * o.cfg.Stall / 20):
			}
		}
		var status int
		status, err = o.upload(ctx, t, method)
		switch {
		case err == nil:
			return nil
		case method == http.MethodPut && t.place.scheme != "s3" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented):
			method = http.MethodPost
			if status, err = o.upload(ctx, t, method); err == nil {
				return nil
			}
		}
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrURI) || status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
			return err
		}
	}
	return err
}

func (o *Opener) upload(ctx context.Context, t *Target, method string) (status int, err error) {
	ctx, give := context.WithCancel(ctx)
	defer give()
	client, target := o.client, t.place.url
	if t.place.scheme == "s3" {
		client, target = o.s3Client(), o.cfg.S3.object(t.place.url)
	}
	body := &moving{r: io.NewSectionReader(t.file, 0, t.size), every: o.cfg.Stall, watch: time.AfterFunc(o.cfg.Stall, give)}
	defer body.watch.Stop()
	q, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", ErrURI, t.place)
	}
	q.ContentLength = t.size
	if t.size == 0 {
		q.Body = http.NoBody
	}
	q.GetBody = func() (io.ReadCloser, error) { // for redirects that repeat the request
		return &moving{r: io.NewSectionReader(t.file, 0, t.size), every: o.cfg.Stall, watch: body.watch}, nil
	}
	q.Header.Set("Content-Type", contentType(t.place.Ext()))
	if t.place.scheme == "s3" {
		if err := o.cfg.S3.sign(q, io.NewSectionReader(t.file, 0, t.size), time.Now()); err != nil {
			return 0, err
		}
	}
	q.Header.Set("User-Agent", "Patchbay")
	r, err := client.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			err = ErrStalled
		}
		return 0, plain(err)
	}
	_, _ = io.CopyN(io.Discard, r.Body, 64<<10) // so that the connection can be used again
	err = r.Body.Close()
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return r.StatusCode, fmt.Errorf("%w: %.60s", ErrServer, r.Status)
	}
	return r.StatusCode, err
}

// moving is a body whose server is given up when it takes nothing more.
type moving struct {
	r     *io.SectionReader
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
	case ".ogg", ".opus":
		return "audio/ogg"
	}
	return "application/octet-stream"
}
