package main

import (
	"errors"

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
	form, err := recordingForm(place.Ext(), o.Profile)
	if err != nil {
		return nil, err
	}
	r, err := recorder.New(recorder.Config{Form: form, Post: notices(o.Notify), Behind: s.files.Behind,
		Create: func() (recorder.File, error) { return s.files.Create(place) },
		Changed: func(st recorder.State) {
			switch st {
			case recorder.Recording:
				o.Changed(kurento.UriEndpointStateStart)
			case recorder.Paused:
				o.Changed(kurento.UriEndpointStatePause)
			case recorder.Done:
				o.Changed(kurento.UriEndpointStateStop)
			}
		}})
	if err != nil {
		return nil, err
	}
	return recorderElement{r}, nil
}

// recordingForm is the form of a profile. Kurento has no profile for WAV: a file whose name ends so gets it.
func recordingForm(ext string, p kurento.MediaProfileSpecType) (recorder.Form, error) {
	switch p {
	case kurento.MediaProfileSpecTypeWebm, kurento.MediaProfileSpecTypeWebmAudioOnly:
		if ext == ".wav" {
			return recorder.WAV, nil
		}
		return recorder.WebM, nil
	case kurento.MediaProfileSpecTypeMkv, kurento.MediaProfileSpecTypeMkvAudioOnly:
		return recorder.Matroska, nil
	}
	return 0, rpc.Errorf(rpc.NotSupported, "'mediaProfile' is %s: this server records WEBM, WEBM_AUDIO_ONLY, MKV and MKV_AUDIO_ONLY, and WAV where the name of the file ends with .wav", p)
}
