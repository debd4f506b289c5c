package kurento_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

const flowEvents = "MediaFlowInStateChanged MediaFlowOutStateChanged MediaTranscodingStateChanged"

// states tells events as text.
func states(events []map[string]any) []string {
	var out []string
	for _, e := range events {
		name := e["padName"]
		if name == nil {
			name = e["binName"]
		}
		out = append(out, fmt.Sprintf("%s %v %v %v", strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(e["event"]), "Media"), "StateChanged"), e["state"], e["mediaType"], name))
	}
	slices.Sort(out)
	return out
}

// A voice that speaks through a PassThrough to another: all that carry media say so, at once, and when it ends.
func TestFlow(t *testing.T) {
	for _, kind := range []media.Kind{media.Audio, media.Video} {
		name := strings.ToUpper(kind.String())
		f := &media.Format{Kind: kind, Codec: "X", Clock: 1000, Channels: 1}
		r := newRig(t, kurento.Config{FlowPoll: 100 * time.Millisecond}, voices("Voice", media.Pad{Kind: kind}, f, f))
		from, through, to := r.in("Voice"), r.in("PassThrough"), r.in("Voice")
		events := strings.Fields(flowEvents)
		e := r.listen(from, events...)
		r.join(e, through, events...)
		r.join(e, to, events...)
		r.call(from, "connect", `{"sink":"`+through.ID()+`"}`)
		r.call(through, "connect", `{"sink":"`+to.ID()+`"}`)
		flowing := func(o *rpc.Object, way string) string {
			return r.call(o, "isMediaFlowing"+way, `{"mediaType":"`+name+`"}`)
		}
		if got := flowing(through, "In"); got != "false" {
			t.Errorf("flows in before there is media: %s", got)
		}
		voiceOf(from).say.Say([]byte("x"))
		want := []string{
			"FlowIn FLOWING " + name + " default", "FlowIn FLOWING " + name + " default",
			"FlowOut FLOWING " + name + " default", "FlowOut FLOWING " + name + " default",
			"Transcoding NOT_TRANSCODING " + name + " default", "Transcoding NOT_TRANSCODING " + name + " default",
		}
		if got := states(e.wait(t, len(want))); !slices.Equal(got, want) {
			t.Errorf("first frame:\n%q, want\n%q", got, want)
		}
		want = []string{
			"FlowIn NOT_FLOWING " + name + " default", "FlowIn NOT_FLOWING " + name + " default",
			"FlowOut NOT_FLOWING " + name + " default", "FlowOut NOT_FLOWING " + name + " default",
		}
		if got := states(e.wait(t, len(want))); !slices.Equal(got, want) {
			t.Errorf("silence:\n%q, want\n%q", got, want)
		}
		voiceOf(from).say.Say([]byte("x"))
		e.wait(t, 4)
		// The answers change with the events.
		for _, c := range []struct {
			o    *rpc.Object
			way  string
			want string
		}{{from, "In", "false"}, {from, "Out", "true"}, {through, "In", "true"}, {through, "Out", "true"}, {to, "In", "true"}, {to, "Out", "false"}} {
			stop := speak(voiceOf(from))
			if got := r.settled(c.want, func() string { return flowing(c.o, c.way) }); got != c.want {
				t.Errorf("isMediaFlowing%s of %s = %s, want %s", c.way, c.o.Class().Name, got, c.want)
			}
			stop()
		}
		r.refused(rpc.IllegalParam, from, "isMediaFlowingIn", `{"mediaType":"DATA"}`)
		r.refused(rpc.IllegalParam, from, "isMediaFlowingOut", `{"mediaType":"DATA"}`)
		r.refused(rpc.IllegalParam, from, "isMediaTranscoding", `{"mediaType":"DATA"}`)
		if got := r.call(from, "isMediaFlowingOut", `{"mediaType":"`+name+`","sourceMediaDescription":"other"}`); got != "false" {
			t.Errorf("an unknown description flows: %s", got)
		}
	}
}

// speak has a voice say something every few ms.
func speak(v *voice) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			v.say.Say(make([]byte, 160))
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() { close(end); <-ended }
}

// settled asks until the answer is the wanted one, within a time that a busy machine keeps.
func (r *rig) settled(want string, ask func() string) string {
	got := ask()
	for end := time.Now().Add(20 * time.Second); got != want && time.Now().Before(end); got = ask() {
		time.Sleep(5 * time.Millisecond)
	}
	return got
}

// Whether media is converted is told once it is, asked at any time, and true.
func TestTranscoding(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	r := newRig(t, kurento.Config{FlowPoll: 50 * time.Millisecond}, voices("Mu", media.Pad{}, u, u), voices("A", media.Pad{}, a, a))
	from, same, other := r.in("Mu"), r.in("Mu"), r.in("A")
	e := r.listen(from, "MediaTranscodingStateChanged")
	asked := func() string { return r.call(from, "isMediaTranscoding", `{"mediaType":"AUDIO"}`) }
	r.call(from, "connect", `{"sink":"`+same.ID()+`"}`)
	stop := speak(voiceOf(from))
	defer stop()
	if got := states(e.wait(t, 1)); !slices.Equal(got, []string{"Transcoding NOT_TRANSCODING AUDIO default"}) {
		t.Errorf("relayed: %q", got)
	}
	if got := asked(); got != "false" {
		t.Errorf("relayed: isMediaTranscoding is %s", got)
	}
	r.call(from, "connect", `{"sink":"`+other.ID()+`"}`)
	if got := states(e.wait(t, 1)); !slices.Equal(got, []string{"Transcoding TRANSCODING AUDIO default"}) {
		t.Errorf("converted: %q", got)
	}
	if got := asked(); got != "true" {
		t.Errorf("converted: isMediaTranscoding is %s", got)
	}
	frames := voiceOf(other).hear.Wait(t, 3, 20*time.Second)
	if got := frames[len(frames)-1].Format.Codec; got != "PCMA" {
		t.Errorf("%s came, want PCMA", got)
	}
	r.call(from, "disconnect", `{"sink":"`+other.ID()+`"}`)
	if got := asked(); got != "false" {
		t.Errorf("relayed again: isMediaTranscoding is %s", got)
	}
	time.Sleep(200 * time.Millisecond)
	if more := e.take(); len(more) != 0 {
		t.Errorf("more is told: %v", more)
	}
	if got := r.call(from, "isMediaTranscoding", `{"mediaType":"VIDEO"}`); got != "false" {
		t.Errorf("video: %s", got)
	}
}

// A format that was asked for is sent, also by pads that come later.
func TestSetAudioFormat(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	r := newRig(t, kurento.Config{}, voices("Voice", media.Pad{}, u, u))
	from, to := r.make("Voice", `{"late":true,"mediaPipeline":"`+r.pipe.ID()+`"}`), r.in("Voice")
	voiceOf(to).hear.Take(u, a)
	heard := func() string {
		voiceOf(from).say.Say(make([]byte, 160))
		if voiceOf(to).hear.Len() == 0 {
			return "nothing"
		}
		frames := voiceOf(to).hear.Frames()
		return frames[len(frames)-1].Format.Codec
	}
	r.call(from, "connect", `{"sink":"`+to.ID()+`"}`)
	r.call(from, "setAudioFormat", `{"caps":{"codec":"PCMA","bitrate":64000}}`)
	if got := heard(); got != "nothing" {
		t.Errorf("%s came of an element without pads", got)
	}
	voiceOf(from).Attach(&voicePads{voiceOf(from), media.Pad{}})
	if got := heard(); got != "PCMA" {
		t.Errorf("before: %s came", got)
	}
	for codec, want := range map[string]string{"PCMU": "PCMU", "PCMA": "PCMA", "OPUS": "PCMU", "RAW": "PCMU"} {
		r.call(from, "setAudioFormat", `{"caps":{"codec":"`+codec+`","bitrate":64000}}`)
		if got := heard(); got != want {
			t.Errorf("setAudioFormat %s: %s came, want %s", codec, got, want)
		}
	}
	voiceOf(from).Attach(nil)
	n := voiceOf(to).hear.Len()
	if heard(); voiceOf(to).hear.Len() != n {
		t.Error("media comes after the pads were taken away")
	}
	r.refused(rpc.BadParam, from, "setAudioFormat", `{"caps":{"codec":"G729","bitrate":8000}}`)
	r.refused(rpc.BadParam, from, "setAudioFormat", `{"caps":{"codec":"PCMU"}}`)
	r.call(from, "setVideoFormat", `{"caps":{"codec":"VP8","framerate":{"numerator":30,"denominator":1}}}`)
}

// Latencies are measured where they are asked for.
func TestLatency(t *testing.T) {
	u := media.PCMU()
	now := int64(0)
	r := newRig(t, kurento.Config{FlowPoll: 50 * time.Millisecond, Now: func() int64 { return now }}, voices("Voice", media.Pad{}, u, u))
	from, to := r.in("Voice"), r.in("Voice")
	now = int64(100 * time.Hour)
	stats := func() string { return r.call(to, "getStats", "") }
	id := `{"` + to.ID() + `":{"id":"` + to.ID() + `","type":"element","timestampMillis":`
	if got := stats(); !strings.HasPrefix(got, id) || !strings.HasSuffix(got, `"inputLatency":[],"__module__":"kurento","__type__":"ElementStats"}}`) {
		t.Errorf("before: %s", got)
	}
	r.call(r.pipe, "setLatencyStats", `{"latencyStats":true}`)
	r.call(from, "connect", `{"sink":"`+to.ID()+`"}`)
	stop := speak(voiceOf(from))
	defer stop()
	measured := func() string {
		return fmt.Sprint(strings.Contains(stats(), `"inputLatency":[{"name":"default","type":"AUDIO","avg":`))
	}
	if r.settled("true", measured) != "true" {
		t.Errorf("measured: %s", stats())
	}
	if got := r.call(to, "getStats", `{"mediaType":"VIDEO"}`); !strings.Contains(got, `"inputLatency":[]`) {
		t.Errorf("video: %s", got)
	}
	r.call(r.pipe, "setLatencyStats", `{"latencyStats":false}`)
	if got := measured(); got != "false" {
		t.Error("still told after it was switched off")
	}
}
