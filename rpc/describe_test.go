package rpc_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

func TestDescribe(t *testing.T) {
	r := newRig(t, rpc.Config{})
	d, err := r.a.Describe(r.vol.ID())
	if err != nil {
		t.Fatal(err)
	}
	if d.Type != "Volume" || d.QualifiedType != "toy.Volume" || !slices.Equal(d.Hierarchy, []string{"kurento.MediaElement", "kurento.MediaObject"}) {
		t.Errorf("describe: %s %s %q", d.Type, d.QualifiedType, d.Hierarchy)
	}
	var members []string
	for _, p := range d.Properties {
		members = append(members, p.Class+"."+p.Name+" "+p.Type)
	}
	for _, m := range d.Methods {
		s := m.Class + "." + m.Name
		for _, p := range m.Params {
			s += " " + p.Type
		}
		if m.Return != nil {
			s += " = " + m.Return.Type
		}
		members = append(members, s)
	}
	for _, want := range []string{
		"Volume.gain float", "Volume.caps AudioCaps", "MediaObject.mediaPipeline MediaPipeline", "MediaObject.children MediaObject[]",
		"Volume.add int64 int64 = int64", "Volume.count int<> = int", "Volume.join String[] = String", "Volume.whose ServerManager = String",
		"MediaElement.connect MediaElement MediaType String String", "MediaElement.getSinks = MediaElement[]",
		"MediaElement.getStats = Stats<>", "MediaObject.getTags = Tag[]", "Volume.maybe String = String",
	} {
		if !slices.Contains(members, want) {
			t.Errorf("%q is missing in\n%s", want, strings.Join(members, "\n"))
		}
	}
	if want := []string{"Started", "ElementConnected", "Error"}; !slices.Equal(d.Events, want) {
		t.Errorf("events %q, want %q", d.Events, want)
	}
	if _, ok := r.f.classes.Describe("Nothing"); ok {
		t.Error("a class that there isn't is described")
	}
	infos := r.f.classes.Modules()
	if len(infos) != 2 || !slices.Equal(infos[0].Factories, []string{"HubPort", "MediaPipeline"}) || !slices.Equal(infos[1].Factories, []string{"Hub", "Volume"}) {
		t.Errorf("modules are %+v", infos)
	}
}

// The description of the toy module in Kurento's form, as a whole.
func TestKmd(t *testing.T) {
	f := newFamily()
	got, err := f.classes.Kmd("toy")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/toy.kmd.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("kmd of toy is\n%s", got)
	}
	core, err := f.classes.Kmd("core")
	if err != nil || !json.Valid(core) || !strings.Contains(string(core), `"cppNamespace": "kurento"`) {
		t.Errorf("kmd of core: %s, %v", core, err)
	}
	if _, err := f.classes.Kmd("nothing"); rpc.Outside(err).Code != rpc.Undefined {
		t.Errorf("kmd of a module that there isn't: %v", err)
	}
}
