package kurento_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// attendees are ports of a hub with a voice at each.
func (r *rig) attendees(hub *rpc.Object, n int) (ports, voices []*rpc.Object) {
	for range n {
		port, v := r.make("HubPort", `{"hub":"`+hub.ID()+`"}`), r.in("Voice")
		r.call(v, "connect", `{"sink":"`+port.ID()+`"}`)
		r.call(port, "connect", `{"sink":"`+v.ID()+`"}`)
		ports, voices = append(ports, port), append(voices, v)
	}
	return ports, voices
}

// heard has each voice say its number, and returns whom each heard.
func heard(list []*rpc.Object) (out []string) {
	before := make([]int, len(list))
	for i, o := range list {
		before[i] = voiceOf(o).hear.Len()
	}
	for i, o := range list {
		voiceOf(o).say.Say([]byte{byte('0' + i)})
	}
	for i, o := range list {
		s := ""
		for _, f := range voiceOf(o).hear.Frames()[before[i]:] {
			s += string(f.Payload)
		}
		out = append(out, s)
	}
	return out
}

func TestHubs(t *testing.T) {
	for _, kind := range []media.Kind{media.Audio, media.Video} {
		f := &media.Format{Kind: kind, Codec: "X", Clock: 1000, Channels: 1}
		r := newRig(t, kurento.Config{}, voices("Voice", media.Pad{Kind: kind}, f, f))
		want := func(step string, list []*rpc.Object, want ...string) {
			t.Helper()
			if got := heard(list); !slices.Equal(got, want) {
				t.Errorf("%s, %s: heard %q, want %q", kind, step, got, want)
			}
		}
		dispatcher := r.in("Dispatcher")
		p, v := r.attendees(dispatcher, 3)
		if !strings.HasPrefix(p[0].ID(), dispatcher.ID()+"/") || r.call(p[0], "getParent", "") != `"`+dispatcher.ID()+`"` {
			t.Errorf("port %s, its hub %s", p[0].ID(), dispatcher.ID())
		}
		want("nothing connected", v, "", "", "")
		pair := func(a, b *rpc.Object) string { return `{"source":"` + a.ID() + `","sink":"` + b.ID() + `"}` }
		r.call(dispatcher, "connect", pair(p[0], p[1]))
		r.call(dispatcher, "connect", pair(p[0], p[2]))
		want("0 to 1 and 2", v, "", "0", "0")
		r.call(dispatcher, "connect", pair(p[1], p[2]))
		want("1 to 2", v, "", "0", "1")

		oneToMany := r.in("kurento.DispatcherOneToMany")
		q, w := r.attendees(oneToMany, 3)
		r.call(oneToMany, "setSource", `{"source":"`+q[1].ID()+`"}`)
		want("1 to all", w, "1", "1", "1")
		more, other := r.attendees(oneToMany, 1)
		q, w = append(q, more...), append(w, other...)
		want("one more", w, "1", "1", "1", "1")
		r.call(oneToMany, "removeSource", "")
		want("none", w, "", "", "", "")
		r.call(oneToMany, "setSource", `{"source":"`+q[2].ID()+`"}`)
		r.a.Release(q[2].ID())
		want("the source is released", w, "", "", "", "")

		if got := r.refused(rpc.NotConnected, dispatcher, "connect", pair(q[0], p[0])); got != "'"+q[0].ID()+"' isn't a port of the hub '"+dispatcher.ID()+"'" {
			t.Errorf("says %q", got)
		}
		r.refused(rpc.NotConnected, oneToMany, "setSource", `{"source":"`+p[0].ID()+`"}`)
		r.refused(rpc.ObjectNotFound, oneToMany, "setSource", `{"source":"`+v[0].ID()+`"}`)
		r.a.Release(dispatcher.ID())
		r.refused(rpc.ObjectNotFound, p[0], "getName", "")
	}
}
