package uri

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// S3 is an object store that speaks that protocol. A recording to s3://BUCKET/KEY is put there. The operator names it, so it may
// be at any address.
type S3 struct {
	Endpoint string // http(s)://host[:port]; "" = there is none
	Region   string // "" = us-east-1
	Key      string // access key
	Secret   string
}

// object is where an s3 URI leads: the bucket stands in the path, which every such store understands.
func (s S3) object(u *url.URL) *url.URL {
	out, err := url.Parse(s.Endpoint)
	if err != nil {
		return &url.URL{}
	}
	out.Path = "/" + u.Host + u.Path
	out.RawPath = escape(out.Path)
	return out
}

// s3Client doesn't ask whether addresses are public, and follows nothing.
func (o *Opener) s3Client() *http.Client {
	t := &http.Transport{TLSHandshakeTimeout: o.cfg.Stall, ResponseHeaderTimeout: o.cfg.MaxTime, DisableKeepAlives: true}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return ErrHop }}
}

// sign signs a request with all its header fields (AWS Signature Version 4).
func (s S3) sign(q *http.Request, body io.Reader, now time.Time) error {
	if s.Key == "" || s.Secret == "" {
		return errors.New("the object store has no key")
	}
	region := s.Region
	if region == "" {
		region = "us-east-1"
	}
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return fmt.Errorf("recording can't be read: %w", err)
	}
	stamp := now.UTC().Format("20060102T150405Z")
	day := stamp[:8]
	q.Header.Set("X-Amz-Date", stamp)
	q.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(h.Sum(nil)))
	names := []string{"host"}
	for name := range q.Header {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	var fields strings.Builder
	for _, name := range names {
		v := q.Header.Get(name)
		if name == "host" {
			v = q.URL.Host
		}
		fields.WriteString(name + ":" + strings.TrimSpace(v) + "\n")
	}
	signed := strings.Join(names, ";")
	// Queries are ours: in order, and encoded as the signature wants them.
	request := strings.Join([]string{q.Method, escape(q.URL.Path), q.URL.RawQuery, fields.String(), signed, q.Header.Get("X-Amz-Content-Sha256")}, "\n")
	scope := day + "/" + region + "/s3/aws4_request"
	sum := sha256.Sum256([]byte(request))
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + s.Secret)
	for _, part := range []string{day, region, "s3", "aws4_request", text} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.Key+"/"+scope+",SignedHeaders="+signed+",Signature="+hex.EncodeToString(key))
	return nil
}

// escape is a path as the signature wants it: all but letters, digits, - . _ ~ and / is encoded.
func escape(p string) string { return encode(p, "/") }

// encode encodes all but letters, digits, - . _ ~ and what else is left as it is.
func encode(p, left string) string {
	var b strings.Builder
	for i := range len(p) {
		c := p[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+left, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
