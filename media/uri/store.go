package uri

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

const (
	storePart = 16 << 20 // bytes of a part; what isn't larger is put as it is
	mostParts = 10_000   // that an object may have
)

// store puts a recording into the object store: a large one in parts, so that what fails is no more than a part, and none is too large
// for the protocol (an object of one piece may have 5 GiB).
func (o *Opener) store(ctx context.Context, p Place, whole *io.SectionReader) error {
	kind := contentType(p.Ext())
	if whole.Size() > storePart {
		return o.storeParts(ctx, p, whole, max(storePart, (whole.Size()+mostParts-1)/mostParts), kind)
	}
	_, err := o.stored(ctx, request{method: http.MethodPut, url: o.cfg.S3.object(p.url), body: whole, kind: kind})
	return err
}

// stored makes a request of the object store.
func (o *Opener) stored(ctx context.Context, q request) (r reply, err error) {
	q.signed = true
	client := o.s3Client()
	err = o.persist(ctx, func() (int, error) {
		r, err = o.ask(ctx, client, q)
		if code := refusal(r.text); err == nil && code != "" { // it may find out too late for a status
			return http.StatusInternalServerError, fmt.Errorf("%w: %s", ErrServer, code)
		}
		return r.status, err
	})
	return r, err
}

// storeParts begins an upload, puts its parts, and has the store make one object of them. If that fails the store is asked to forget
// them.
func (o *Opener) storeParts(ctx context.Context, p Place, whole *io.SectionReader, size int64, kind string) (err error) {
	at := func(query string) *url.URL {
		u := o.cfg.S3.object(p.url)
		u.RawQuery = query
		return u
	}
	r, err := o.stored(ctx, request{method: http.MethodPost, url: at("uploads="), kind: kind})
	if err != nil {
		return err
	}
	var begun struct {
		ID string `xml:"UploadId"`
	}
	if err := xml.Unmarshal(r.text, &begun); err != nil || begun.ID == "" {
		return fmt.Errorf("%w: it names no upload", ErrServer)
	}
	upload := "uploadId=" + encode(begun.ID, "")
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(o.cfg.Stall, 2*time.Second))
			defer cancel()
			_, _ = o.ask(ctx, o.s3Client(), request{method: http.MethodDelete, url: at(upload), signed: true})
		}
	}()
	var list parts
	for off := int64(0); off < whole.Size(); off += size {
		n := len(list.Parts) + 1
		r, err := o.stored(ctx, request{method: http.MethodPut, url: at("partNumber=" + strconv.Itoa(n) + "&" + upload),
			body: io.NewSectionReader(whole, off, min(size, whole.Size()-off))})
		if err != nil {
			return fmt.Errorf("part %d: %w", n, err)
		}
		list.Parts = append(list.Parts, part{n, r.head.Get("ETag")})
	}
	b, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	r, err = o.stored(ctx, request{method: http.MethodPost, url: at(upload), body: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), kind: "application/xml"})
	if r.status == http.StatusNotFound && o.isThere(ctx, o.cfg.S3.object(p.url), whole.Size()) {
		return nil // it was made one of before, and the store's word was lost
	}
	return err
}

// isThere asks whether the store has an object of a size.
func (o *Opener) isThere(ctx context.Context, at *url.URL, size int64) bool {
	r, err := o.ask(ctx, o.s3Client(), request{method: http.MethodHead, url: at, signed: true})
	return err == nil && r.head.Get("Content-Length") == strconv.FormatInt(size, 10)
}

// parts is what an object is made of, in the store's words.
type parts struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []part   `xml:"Part"`
}

type part struct {
	Number int    `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
}

// refusal is the code of the error that the store's text is; "" = it is none.
func refusal(text []byte) string {
	var told struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
	}
	if xml.Unmarshal(text, &told) != nil {
		return ""
	}
	return cmp.Or(regexp.MustCompile(`^[A-Za-z0-9.]{1,60}$`).FindString(told.Code), "Error")
}
