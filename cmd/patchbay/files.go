package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/player"
	"github.com/patchbay/patchbay/media/recorder"
	"github.com/patchbay/patchbay/media/rtsp"
	"github.com/patchbay/patchbay/media/uri"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// opener is what opens the URIs that programs name.
func (c Config) opener(log *slog.Logger) *uri.Opener {
	u := c.Media.URLs
	return uri.New(uri.Config{Root: c.Media.Root, Spool: filepath.Join(c.Node.Data, "spool"), Schemes: u.Schemes, Private: u.Private,
		MaxSize: int64(u.MaxSize), MaxAll: int64(u.MaxAll), MaxTime: u.MaxTime, Stall: u.Stall, Log: log,
		MaxFiles: int64(u.MaxFiles), MinFree: int64(u.MinFree),
		S3: uri.S3{Endpoint: u.S3.Endpoint, Region: u.S3.Region, Key: u.S3.Key, Secret: string(u.S3.Secret)}})
}

// place reads a URI that a program of a tenant's names. Where there are several tenants each has a folder of its own.
func (s *server) place(raw, tenant string) (uri.Place, error) {
	folder := ""
	if s.cfg.severalTenants() {
		folder = tenant
	}
	p, err := s.files.Parse(raw, folder)
	if err != nil {
		return p, failure(err)
	}
	return p, nil
}

// failure is an error of media in Kurento's words.
func failure(err error) error {
	f := &kurento.Failure{Kind: "RESOURCE_ERROR_OPEN", Code: 5, Err: err} // codes are GStreamer's, as Kurento's are
	switch {
	case errors.Is(err, uri.ErrURI), errors.Is(err, uri.ErrRefused), errors.Is(err, uri.ErrHop):
		f.Kind, f.Code = "INVALID_URI", 0
	case errors.Is(err, uri.ErrNoFile):
		f.Code = 3
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, uri.ErrSize), errors.Is(err, uri.ErrRoom):
		f.Kind, f.Code = "RESOURCE_ERROR_NO_SPACE_LEFT", 14
	case errors.Is(err, recorder.ErrWrite):
		f.Kind, f.Code = "RESOURCE_ERROR_WRITE", 10
	case errors.Is(err, uri.ErrStalled), errors.Is(err, uri.ErrBroken), errors.Is(err, uri.ErrTime):
		f.Kind, f.Code = "RESOURCE_ERROR_READ", 9
	case errors.Is(err, container.ErrUnknown), errors.Is(err, container.ErrCodec), errors.Is(err, player.ErrNothing):
		f.Kind, f.Code = "STREAM_ERROR_FAILED", 1
	case errors.Is(err, player.ErrPart):
		f.Kind, f.Code = "STREAM_ERROR_CODEC_NOT_FOUND", 6
	case errors.Is(err, container.ErrDamaged):
		f.Kind, f.Code = "STREAM_ERROR_DECODE", 7
	}
	return f
}

// playerElement is a player as Kurento's class wants it.
type playerElement struct{ *player.Player }

// Info is what is known of the media, in ms.
func (e playerElement) Info() kurento.VideoInfo {
	i := e.Player.Info()
	out := kurento.VideoInfo{IsSeekable: i.Seekable, Duration: i.Duration.Milliseconds()}
	if i.Seekable {
		out.SeekableEnd = out.Duration
	}
	return out
}

// openStream is a file that is open.
type openStream struct {
	container.Reader
	file *uri.File
}

func (s openStream) Close() error { return s.file.Close() }

// newPlayer makes what stands behind a PlayerEndpoint.
func (s *server) newPlayer(o kurento.PlayerOptions) (kurento.Player, error) {
	place, err := s.place(o.URI, o.Tenant)
	if err != nil {
		return nil, err
	}
	cfg := player.Config{
		Clock: o.Pipeline.Clock(), Registry: o.Pipeline.Registry(), Post: notices(o.Notify), Changed: func(st player.State) { o.Changed(uriState(st)) },
		Open: func(ctx context.Context) (player.Stream, error) { return s.openStream(ctx, place) },
	}
	if place.Scheme() != "file" {
		cfg.Ahead = max(o.Cache, time.Millisecond)
	}
	p, err := player.New(cfg)
	if err != nil {
		return nil, err
	}
	return playerElement{p}, nil
}

func (s *server) openStream(ctx context.Context, place uri.Place) (player.Stream, error) {
	if scheme := place.Scheme(); scheme == "rtsp" || scheme == "rtsps" {
		u := s.cfg.Media.URLs
		return rtsp.Open(ctx, place.URL(), rtsp.Config{Network: s.files, Name: place.String(), Stall: u.Stall, MaxTime: u.MaxTime})
	}
	f, err := s.files.Open(ctx, place)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.Close() }) // what waits for the file's head returns
	defer stop()
	r, err := container.Open(f, strings.TrimSuffix(place.String(), "/"), f.Type)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return openStream{r, f}, nil
}

// notices has failures said in Kurento's words.
func notices(to func(media.Notice)) func(media.Notice) {
	return func(n media.Notice) {
		switch f := n.(type) {
		case media.Failed:
			n = media.Failed{Err: failure(f.Err)}
		case media.Lacks:
			n = media.Lacks{Err: failure(f.Err)}
		}
		to(n)
	}
}

func uriState(s player.State) kurento.UriEndpointState {
	switch s {
	case player.Playing:
		return kurento.UriEndpointStateStart
	case player.Paused:
		return kurento.UriEndpointStatePause
	}
	return kurento.UriEndpointStateStop
}
