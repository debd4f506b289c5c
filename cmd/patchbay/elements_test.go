package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

type heard chan rpc.Event

func (h heard) Event(ev rpc.Event) {
	select {
	case h <- ev:
	default:
	}
}

// A client's tone goes through a client's echo: elements are created, invoked, subscribed to, described and released by
// their lines in the table alone.
func TestElementClasses(t *testing.T) {
	clock := media.NewClock()
	defer clock.Close()
	registry := media.NewRegistry()
	registry.Register(g711.Conversions()...)
	classes, core, _ := elementClasses(kurento.Config{Pipeline: media.Config{Clock: clock, Registry: registry}}, telephony.Config{})
	space, err := core.Open(classes, rpc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	defer func() {
		if err := space.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	client := space.Tenant("default")
	create := func(class, params string) *rpc.Object {
		t.Helper()
		o, err := client.New(ctx, class, []byte(params))
		if err != nil {
			t.Fatalf("create %s: %v", class, err)
		}
		return o
	}
	pipe := create("kurento.MediaPipeline", "{}")
	sender := create("telephony.Tone", `{"mediaPipeline":"`+pipe.ID()+`","hz":1020,"duration":200}`)
	back := create("Echo", `{"mediaPipeline":"`+pipe.ID()+`"}`)
	rec := mediatest.NewRecorder(media.PCMU())
	if _, err := client.Invoke(ctx, sender.ID(), "connect", []byte(`{"sink":"`+back.ID()+`","mediaType":"AUDIO"}`)); err != nil {
		t.Fatal(err)
	}
	echoed := back.Value().(*echoElement).echo.Source(media.Pad{})
	echoed.Link(rec)
	ended := make(heard, 1)
	if _, err := client.Subscribe(sender.ID(), "EndOfStream", ended); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Invoke(ctx, sender.ID(), "start", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case ev := <-ended:
		if !strings.Contains(string(ev.Data), `"source":"`+sender.ID()+`"`) || !strings.Contains(string(ev.Data), `"type":"EndOfStream"`) {
			t.Errorf("event data %s", ev.Data)
		}
	case <-ctx.Done():
		t.Fatal("no EndOfStream within 10 s")
	}
	if frames := rec.Wait(t, 10, time.Second); len(frames) != 10 {
		t.Errorf("%d frames of 20 ms came of a tone of 200 ms", len(frames))
	}
	level := mediatest.Level(mediatest.Linear(media.PCMU(), rec.Audio()), 8000, 1020, g711.Mu().Peak())
	if math.Abs(level+10) > 0.1 {
		t.Errorf("the tone is at %.2f dBm0, want -10", level)
	}

	d, err := client.Describe(sender.ID())
	if b, _ := json.Marshal(d.Hierarchy); err != nil || d.QualifiedType != "telephony.Tone" || string(b) != `["kurento.MediaElement","kurento.MediaObject"]` {
		t.Errorf("describe: %s %s, %v", d.QualifiedType, b, err)
	}
	_, err = client.New(ctx, "Tone", []byte(`{"mediaPipeline":"`+pipe.ID()+`","hz":4001}`))
	if err == nil || rpc.Outside(err).Code != rpc.IllegalParam || !strings.Contains(err.Error(), "4001 Hz") {
		t.Errorf("a tone of 4001 Hz: %v", err)
	}
	client.Release(pipe.ID())
	if n := len(echoed.Sinks()); n != 0 {
		t.Errorf("a released echo has %d sinks", n)
	}
	if _, err := client.Invoke(ctx, sender.ID(), "start", nil); rpc.Outside(err).Code != rpc.ObjectNotFound {
		t.Errorf("invoke after release: %v", err)
	}
}

// Our table has Kurento's API, member by member.
func TestElementClassesAgainstKurento(t *testing.T) {
	table, err := os.ReadFile("../../rpc/kurento/testdata/api.json")
	if err != nil {
		t.Fatal(err)
	}
	classes, _, _ := elementClasses(kurento.Config{}, telephony.Config{})
	differences, err := kurento.Compare(classes, table, kurento.Ours())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
