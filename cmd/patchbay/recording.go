package main

import (
	"errors"
	"slices"

	"github.com/patchbay/patchbay/media/recorder"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// recorderElement is a recorder as Kurento's class wants it.
type recorderElement struct{ *recorder.Recorder }

// Record begins, or goes on. Once more after Stop does nothing, as at Kurento's.
func (e recorderElement) Record() error {
	if err := e.Recorder.Record(); !errors.Is(err, recorder.ErrDone) {
		return err
	}
	return nil
}

// newRecorder makes what stands behind a RecorderEndpoint.
func (s *server) newRecorder(o kurento.RecorderOptions) (kurento.Recorder, error) {
	place, err := s.place(o.URI, o.Tenant)
	if err != nil {
		return nil, err
	}
	cfg, err := recording(place.Ext(), o.Profile)
	if err != nil {
		return nil, err
	}
	cfg.Post, cfg.Behind = notices(o.Notify), s.files.Behind
	cfg.Create = func() (recorder.File, error) { return s.files.Create(place) }
	cfg.Changed = func(st recorder.State) {
		switch st {
		case recorder.Recording:
			o.Changed(kurento.UriEndpointStateStart)
		case recorder.Paused:
			o.Changed(kurento.UriEndpointStatePause)
		case recorder.Done:
			o.Changed(kurento.UriEndpointStateStop)
		}
	}
	r, err := recorder.New(cfg)
	if err != nil {
		return nil, err
	}
	return recorderElement{r}, nil
}

// recording is what a profile says. Kurento has no profile for WAV: a file whose name ends so gets it, where there may be no video.
func recording(ext string, p kurento.MediaProfileSpecType) (c recorder.Config, err error) {
	codecs := []string{"VP8", "VP9"}
	switch p {
	case kurento.MediaProfileSpecTypeWebm, kurento.MediaProfileSpecTypeWebmAudioOnly, kurento.MediaProfileSpecTypeWebmVideoOnly:
		c.Form = recorder.WebM
	case kurento.MediaProfileSpecTypeMkv, kurento.MediaProfileSpecTypeMkvAudioOnly, kurento.MediaProfileSpecTypeMkvVideoOnly:
		c.Form = recorder.Matroska
		codecs = append(codecs, "H264", "H265", "AV1")
	case kurento.MediaProfileSpecTypeMp4, kurento.MediaProfileSpecTypeMp4AudioOnly, kurento.MediaProfileSpecTypeMp4VideoOnly:
		c.Form = recorder.MP4
		codecs = []string{"H264", "VP9", "AV1", "H265"}
	case kurento.MediaProfileSpecTypeFlv:
		c.Form = recorder.FLV
		codecs = []string{"H264"}
	default:
		return c, rpc.Errorf(rpc.NotSupported, "'mediaProfile' is %s: this server records WEBM, MKV and MP4, also as _AUDIO_ONLY and _VIDEO_ONLY, FLV, and WAV where the name of the file ends with .wav", p)
	}
	switch p {
	case kurento.MediaProfileSpecTypeWebm, kurento.MediaProfileSpecTypeWebmAudioOnly:
		if ext == ".wav" {
			c.Form = recorder.WAV
			return c, nil
		}
	case kurento.MediaProfileSpecTypeWebmVideoOnly, kurento.MediaProfileSpecTypeMkvVideoOnly, kurento.MediaProfileSpecTypeMp4VideoOnly:
		c.Silent = true
	}
	switch p {
	case kurento.MediaProfileSpecTypeWebmAudioOnly, kurento.MediaProfileSpecTypeMkvAudioOnly, kurento.MediaProfileSpecTypeMp4AudioOnly:
	default:
		for _, f := range videoFormats() {
			if slices.Contains(codecs, f.Codec) {
				c.Video = append(c.Video, f)
			}
		}
	}
	return c, nil
}
