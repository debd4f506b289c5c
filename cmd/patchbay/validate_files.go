package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"
)

// urlSchemes are those of what can be played and recorded.
var urlSchemes = []string{"file", "http", "https", "s3", "rtsp", "rtsps"}

// mediaFiles checks what programs may play and record.
func (d *document) mediaFiles(c *Config) {
	m := &c.Media
	if m.Root != "" {
		d.folder("media.root", m.Root)
		root := filepath.Clean(m.Root)
		inside := func(dir string) bool {
			rel, err := filepath.Rel(root, dir)
			return err == nil && filepath.IsLocal(rel)
		}
		if root == "/" || inside(c.Node.Data) || inside(c.Billing.Dir) {
			d.bad("media.root", "expected a folder that holds nothing but media: programs may read and write all of it")
		}
	}
	u := &m.URLs
	d.list("media.urls.schemes", u.Schemes, urlSchemes)
	for i, p := range u.Private {
		if f := fmt.Sprintf("media.urls.private[%d]", i); p != p.Masked() {
			d.bad(f, "expected a network or an address, such as %s", p.Masked())
		}
	}
	d.size("media.urls.max_size", u.MaxSize, 1<<20, 1<<40)
	d.size("media.urls.max_all", u.MaxAll, u.MaxSize, 1<<44)
	if u.MaxFiles != 0 {
		d.size("media.urls.max_files", u.MaxFiles, u.MaxSize, 1<<50)
	}
	d.size("media.urls.min_free", u.MinFree, 0, 1<<44)
	d.between("media.urls.max_time", u.MaxTime, time.Second, 24*time.Hour)
	d.between("media.urls.stall", u.Stall, 100*time.Millisecond, 5*time.Minute)
	d.objectStore(&u.S3, slices.Contains(u.Schemes, "s3"))
}

func (d *document) objectStore(s *S3, wanted bool) {
	if s.Endpoint == "" {
		if wanted {
			d.bad("media.urls.s3.endpoint", "missing: media.urls.schemes has s3; expected http:// or https:// and a host")
		}
		return
	}
	if u, err := url.Parse(s.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		d.bad("media.urls.s3.endpoint", "expected http:// or https:// and a host or host:port alone")
	}
	if s.Key == "" {
		d.bad("media.urls.s3.key", "missing, expected the access key of media.urls.s3.endpoint")
	}
	if s.Secret == "" {
		d.bad("media.urls.s3.secret", "missing, expected the secret that belongs to media.urls.s3.key")
	}
}
