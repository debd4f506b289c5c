package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/resample"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// mixers is a client of a space in which hubs mix.
type mixers struct {
	*testing.T
	client rpc.Scope
	pipe   *rpc.Object
}

func newMixers(t *testing.T) *mixers {
	clock, registry := media.NewClock(), media.NewRegistry()
	registry.Register(g711.Conversions()...)
	registry.Register(resample.Conversions()...)
	classes, core, _ := elementClasses(kurento.Config{Pipeline: media.Config{Clock: clock, Registry: registry}, Room: newRoom}, telephony.Config{})
	space, err := core.Open(classes, rpc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := space.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = registry.Close()
		clock.Close()
	})
	m := &mixers{T: t, client: space.Tenant("default")}
	m.pipe = m.create("MediaPipeline", nil)
	return m
}

func (m *mixers) create(class string, params map[string]any) *rpc.Object {
	m.Helper()
	if m.pipe != nil && params == nil {
		params = map[string]any{"mediaPipeline": m.pipe.ID()}
	}
	b, _ := json.Marshal(params)
	o, err := m.client.New(m.Context(), class, b)
	if err != nil {
		m.Fatalf("create %s: %v", class, err)
	}
	return o
}

func (m *mixers) invoke(o *rpc.Object, op string, params map[string]any) (json.RawMessage, error) {
	b, _ := json.Marshal(params)
	return m.client.Invoke(m.Context(), o.ID(), op, b)
}

func (m *mixers) call(o *rpc.Object, op string, params map[string]any) string {
	m.Helper()
	out, err := m.invoke(o, op, params)
	if err != nil {
		m.Fatalf("%s: %v", op, err)
	}
	return string(out)
}

// guest enters a hub, says a tone if hz isn't 0, and is heard by a recorder.
func (m *mixers) guest(hub *rpc.Object, hz float64) (port *rpc.Object, hears *mediatest.Recorder) {
	m.Helper()
	port = m.create("HubPort", map[string]any{"hub": hub.ID()})
	hears = mediatest.NewRecorder(media.PCMA())
	port.Value().(*kurento.HubPort).Media().Source(media.Pad{}).Link(hears)
	if hz > 0 {
		tone := m.create("Tone", map[string]any{"mediaPipeline": m.pipe.ID(), "hz": hz, "level": -10})
		m.call(tone, "connect", map[string]any{"sink": port.ID()})
		m.call(tone, "start", nil)
	}
	return port, hears
}

// hears waits until somebody hears these tones at -10 dBm0, and no other of the test's.
func (m *mixers) hears(who string, r *mediatest.Recorder, want ...float64) {
	m.Helper()
	var got string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
		r.Forget()
		r.Wait(m, 15, 10*time.Second)
		samples := mediatest.Linear(media.PCMA(), r.Audio())
		got, all := "", true
		for _, hz := range []float64{400, 850, 1300} {
			level := mediatest.Level(samples, 8000, hz, g711.A().Peak())
			got += fmt.Sprintf(" %v Hz %.1f dBm0", hz, level)
			all = all && slices.Contains(want, hz) == (math.Abs(level+10) < 1) && (slices.Contains(want, hz) || level < -40)
		}
		if all {
			return
		}
	}
	m.Errorf("%s hears%s, want %v", who, got, want)
}

// Three hubs that mix, each as its class says.
func TestHubsThatMix(t *testing.T) {
	m := newMixers(t)
	for _, class := range []string{"Composite", "AudioMixer"} {
		hub := m.create(class, nil)
		_, a := m.guest(hub, 400)
		_, b := m.guest(hub, 850)
		_, c := m.guest(hub, 0)
		m.hears(class+": one who speaks", a, 850)
		m.hears(class+": the other", b, 400)
		m.hears(class+": one who listens", c, 400, 850)
		m.client.Release(hub.ID())
	}

	hub := m.create("Mixer", nil)
	a, heardA := m.guest(hub, 400)
	b, heardB := m.guest(hub, 850)
	c, heardC := m.guest(hub, 0)
	way := func(kind string, from, to *rpc.Object) map[string]any {
		return map[string]any{"media": kind, "source": from.ID(), "sink": to.ID()}
	}
	m.call(hub, "connect", way("AUDIO", a, c))
	m.call(hub, "connect", way("AUDIO", b, c))
	m.call(hub, "connect", way("AUDIO", b, b))
	m.call(hub, "connect", way("VIDEO", a, b))
	m.hears("Mixer: one who hears nobody", heardA)
	m.hears("Mixer: one who hears himself", heardB, 850)
	m.hears("Mixer: one who hears two", heardC, 400, 850)
	m.call(hub, "disconnect", way("AUDIO", b, c))
	m.hears("Mixer: one less", heardC, 400)

	other := m.create("Mixer", nil)
	stranger, _ := m.guest(other, 0)
	for _, bad := range []struct {
		op     string
		params map[string]any
		code   rpc.Code
		says   string
	}{
		{"connect", way("DATA", a, b), rpc.UnsupportedMediaType, "'media' is DATA, should be AUDIO or VIDEO"},
		{"disconnect", way("VIDEO", a, b), rpc.UnsupportedMediaType, "'media' is VIDEO, should be AUDIO"},
		{"connect", way("AUDIO", a, stranger), rpc.NotConnected, "'" + stranger.ID() + "' isn't a port of the hub '" + hub.ID() + "'"},
		{"disconnect", way("AUDIO", stranger, a), rpc.NotConnected, "'" + stranger.ID() + "' isn't a port of the hub '" + hub.ID() + "'"},
	} {
		_, err := m.invoke(hub, bad.op, bad.params)
		if e := rpc.Outside(err); err == nil || e.Code != bad.code || e.Message != bad.says {
			t.Errorf("%s %v: %v", bad.op, bad.params, err)
		}
	}
	_, err := m.client.New(t.Context(), "Composite", []byte(`{"mediaPipeline":"`+m.pipe.ID()+`","width":0}`))
	if err == nil || rpc.Outside(err).Code != rpc.IllegalParam || !strings.Contains(err.Error(), "'width' is 0, should be 1 or more") {
		t.Errorf("a picture without width: %v", err)
	}
}

// An AudioMixer tells who speaks, at what rate it mixes and how loud each is.
func TestAudioMixerTells(t *testing.T) {
	m := newMixers(t)
	hub := m.create("AudioMixer", nil)
	told := make(heard, 100)
	if _, err := m.client.Subscribe(hub.ID(), "ActiveSpeakerChanged", told); err != nil {
		t.Fatal(err)
	}
	port, _ := m.guest(hub, 400)
	m.guest(hub, 0)
	next := func(want string) {
		t.Helper()
		select {
		case ev := <-told:
			if !strings.Contains(string(ev.Data), `"port":"`+want+`"`) {
				t.Errorf("told %s, want %s", ev.Data, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not told of %q", want)
		}
	}
	next(port.ID())
	if got := m.call(hub, "getActiveSpeaker", nil); got != `"`+port.ID()+`"` {
		t.Errorf("speaks: %s", got)
	}
	if got := m.call(hub, "getSampleRate", nil); got != "8000" {
		t.Errorf("mixes at %s Hz", got)
	}
	var levels []struct {
		Port  string
		Level float64
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := json.Unmarshal([]byte(m.call(hub, "getLevels", nil)), &levels); err != nil || len(levels) != 2 {
			t.Fatalf("%v, %+v", err, levels)
		}
		right := true
		for _, l := range levels {
			speaks := l.Port == port.ID() // -10 dBm0 are 16 dB below full scale
			right = right && speaks == (l.Level > -20) && l.Level < -10 && l.Level >= -100
		}
		if right {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("levels are %+v, the speaker is %s", levels, port.ID())
		}
	}
	m.client.Release(port.ID())
	next("")
}
