// Package uri opens what a program names by URI, to play it and to record to it, and nothing that it shouldn't reach: files
// below one folder alone, and servers that anybody could reach, unless the operator lists others.
package uri

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what may be opened. The zero value opens http and https alone.
type Config struct {
	Root    string         // folder of the files, made if it is missing; "" = no files
	Spool   string         // folder of what is on its way from or to a server, made if it is missing; "" = the system's for temporary files
	Schemes []string       // of file, http, https, s3, rtsp, rtsps; nil = file, http and https
	Private []netip.Prefix // addresses that may be reached although they aren't public
	MaxSize int64          // bytes of one file; 0 = 1 GiB
	MaxAll  int64          // bytes of all that are on their way through the spool, and of all that stay there; 0 = eight times MaxSize
	// MaxFiles bounds the bytes of all files below Root when something is recorded there, 0 = any; MinFree is how many bytes stay free on the disks
	// that recordings are written to, or a 20th of the disk if that is less, 0 = none.
	MaxFiles, MinFree int64
	MaxTime           time.Duration // that a download, an upload or a stream takes at most; 0 = 4 h
	Stall             time.Duration // a server that says nothing for so long has failed; 0 = 10 s
	S3                S3            // where s3 URIs lead
	Log               *slog.Logger  // nil = none

	Resolver *net.Resolver // asked for servers' addresses; nil = the system's
}

// Errors that a caller may want to tell apart; all others say what the system or the server said.
var (
	ErrURI     = errors.New("bad URI")                            // it can't be read, or says what isn't allowed
	ErrRefused = errors.New("address isn't allowed")              // of a server, after DNS
	ErrSize    = errors.New("larger than allowed")                // the file, or all that is in the spool
	ErrStalled = errors.New("server said nothing for too long")   // while it should send or take
	ErrNoFile  = errors.New("there is no such file")              // nor a folder to be looked into
	ErrKind    = errors.New("is a folder, a device or the like")  // and no file
	ErrClosed  = errors.New("closed")                             // by its owner
	ErrBroken  = errors.New("server ended before the media did")  // or the connection was lost
	ErrServer  = errors.New("server refused")                     // by its HTTP status
	ErrTime    = errors.New("took longer than allowed")           // in all
	ErrHop     = errors.New("redirected where it isn't followed") // too often, or to a scheme that isn't allowed
)

// Opener opens. Its methods may be called from any goroutine.
type Opener struct {
	cfg    Config
	client *http.Client
	used   atomic.Int64 // bytes in the spool
	kept   room         // of the root
	spool  room         // of the spool

	life   context.Context // of what is done behind
	end    context.CancelFunc
	behind sync.WaitGroup

	mu    sync.Mutex
	roots map[string]*os.Root // by folder below the root
}

// New makes an opener. Its folders are made when they are needed first.
func New(cfg Config) *Opener {
	if cfg.Schemes == nil {
		cfg.Schemes = []string{"file", "http", "https"}
	}
	cfg.MaxSize = cmp.Or(cfg.MaxSize, 1<<30)
	cfg.MaxAll = cmp.Or(cfg.MaxAll, 8*cfg.MaxSize)
	cfg.MaxTime = cmp.Or(cfg.MaxTime, 4*time.Hour)
	cfg.Stall = cmp.Or(cfg.Stall, 10*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	o := &Opener{cfg: cfg, roots: map[string]*os.Root{}}
	o.kept = room{most: cfg.MaxFiles, floor: cfg.MinFree, recount: recount, disk: disk}
	o.spool = room{floor: cfg.MinFree, disk: disk}
	o.client = o.newClient()
	o.life, o.end = context.WithCancel(context.Background())
	return o
}

// Behind does something that may take long, such as Finish, beside. Its context ends with the opener.
func (o *Opener) Behind(do func(ctx context.Context)) { o.behind.Go(func() { do(o.life) }) }

// Close ends what is done behind, and closes the folders and idle connections. What is open stays so.
func (o *Opener) Close() error {
	o.end()
	o.behind.Wait()
	o.client.CloseIdleConnections()
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, r := range o.roots {
		errs = append(errs, r.Close())
	}
	clear(o.roots)
	return errors.Join(errs...)
}

// Place is what a URI names.
type Place struct {
	scheme string
	folder string // below the root: whose files they are; "" = the root itself
	path   string // of a file, below the folder
	url    *url.URL
}

// String is the URI without its password.
func (p Place) String() string {
	if p.url == nil {
		return "file:///" + p.path
	}
	return p.url.Redacted()
}

// Scheme is the URI's, in lower case.
func (p Place) Scheme() string { return p.scheme }

// URL is that of a place that isn't a file.
func (p Place) URL() *url.URL { return p.url }

// Ext is what the name of the file ends with, in lower case: ".wav"; "" = nothing.
func (p Place) Ext() string {
	if p.url == nil {
		return strings.ToLower(path.Ext(p.path))
	}
	return strings.ToLower(path.Ext(p.url.Path))
}

// maxURI is the longest URI that is read.
const maxURI = 4096

// Parse reads a URI, and refuses what isn't allowed whatever DNS says. One without a scheme is a file's. Paths of files
// stand below the folder of that name in the root ("" = in the root), with or without the root's own name in front; keys of objects
// below the folder in their bucket.
func (o *Opener) Parse(raw, folder string) (Place, error) {
	if len(raw) > maxURI || raw == "" {
		return Place{}, fmt.Errorf("%w: has %d bytes, expected 1 to %d", ErrURI, len(raw), maxURI)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Place{}, fmt.Errorf("%w: it can't be read", ErrURI) // the library's error shows passwords
	}
	scheme := cmp.Or(strings.ToLower(u.Scheme), "file")
	if !slices.Contains(o.cfg.Schemes, scheme) {
		return Place{}, fmt.Errorf("%w: scheme %.20q, expected one of %s", ErrURI, scheme, strings.Join(o.cfg.Schemes, ", "))
	}
	switch {
	case u.Opaque != "":
		return Place{}, fmt.Errorf("%w: %s: without //, expected %s://…", ErrURI, scheme, scheme)
	case scheme == "file":
		return o.parseFile(u, folder)
	case u.Host == "" || u.Hostname() == "":
		return Place{}, fmt.Errorf("%w: names no host", ErrURI)
	case strings.ContainsAny(u.Hostname(), "%\x00 "):
		return Place{}, fmt.Errorf("%w: host %.60q, expected a name or an address without a zone", ErrURI, u.Hostname())
	}
	u.Fragment = ""
	if scheme == "s3" {
		if err := object(u, folder); err != nil {
			return Place{}, err
		}
	}
	return Place{scheme: scheme, url: u}, nil
}

// object checks a URI of an object store, and puts its key below a folder.
func object(u *url.URL, folder string) error {
	parts := strings.Split(u.Path, "/")
	switch {
	case strings.Trim(u.Host, ".") == "" || u.Port() != "" || u.User != nil || u.RawQuery != "":
		return fmt.Errorf("%w: expected s3://BUCKET/KEY", ErrURI)
	case len(parts) < 2 || parts[len(parts)-1] == "":
		return fmt.Errorf("%w: path %.100q names no object, expected s3://BUCKET/KEY", ErrURI, u.Path)
	case slices.ContainsFunc(parts[1:], func(s string) bool { return s == "" || s == "." || s == ".." || strings.ContainsRune(s, 0) }):
		return fmt.Errorf("%w: path %.100q has a part that is empty, . or .., which an object store may read as another's", ErrURI, u.Path)
	}
	u.Path, u.RawPath = path.Join("/", folder, u.Path), ""
	return nil
}

func (o *Opener) parseFile(u *url.URL, folder string) (Place, error) {
	switch {
	case o.cfg.Root == "":
		return Place{}, fmt.Errorf("%w: there is no folder for files", ErrURI)
	case u.Host != "" && u.Host != "localhost":
		return Place{}, fmt.Errorf("%w: file on host %.60q, expected file:///…", ErrURI, u.Host)
	case u.RawQuery != "" || u.User != nil:
		return Place{}, fmt.Errorf("%w: file with a query or a user, expected a path", ErrURI)
	}
	name := u.Path
	if base := path.Join(o.cfg.Root, folder); base != "/" {
		if rest, ok := strings.CutPrefix(name, base+"/"); ok {
			name = rest
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return Place{}, fmt.Errorf("%w: path %.100q leaves the folder of files", ErrURI, name)
		case strings.ContainsAny(part, "\x00\\"):
			return Place{}, fmt.Errorf("%w: path %.100q has characters that no file's name has", ErrURI, name)
		}
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" || strings.HasSuffix(u.Path, "/") {
		return Place{}, fmt.Errorf("%w: %.100q names a folder, expected a file", ErrURI, u.Path)
	}
	return Place{scheme: "file", folder: folder, path: name}, nil
}

// root is a folder's, opened once.
func (o *Opener) root(folder string) (*os.Root, error) {
	return o.open(path.Join(o.cfg.Root, folder), "folder of files")
}

func (o *Opener) open(dir, what string) (*os.Root, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.roots[dir]; r != nil {
		return r, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	o.roots[dir] = r
	return r, nil
}
