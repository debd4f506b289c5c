package media_test

import (
	"math/rand/v2"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// who says which talkers reach a sink: each of them says its own number.
func who(k *mediatest.Recorder, talkers []*mediatest.Talker) string {
	k.Forget()
	for i, t := range talkers {
		t.Say([]byte{byte('a' + i)})
	}
	return string(k.Audio())
}

func talkers(n int) []*mediatest.Talker {
	var out []*mediatest.Talker
	for range n {
		out = append(out, mediatest.NewTalker(nil, media.PCMU()))
	}
	return out
}

func TestOverridesNest(t *testing.T) {
	ts := talkers(4)
	a, b, c, d := ts[0], ts[1], ts[2], ts[3]
	k, own := mediatest.NewRecorder(media.PCMU()), mediatest.NewRecorder(media.PCMU())
	a.Link(k)
	b.Link(own)
	expect := func(what, want string) {
		t.Helper()
		if got := who(k, ts); got != want {
			t.Fatalf("%s: heard %q, want %q", what, got, want)
		}
	}
	expect("at first", "a")
	endB := a.Override(b.Source)
	expect("overridden", "b")
	if got := who(own, ts); got != "b" {
		t.Fatalf("the sink of the one who overrides heard %q", got)
	}
	endC := a.Override(c.Source)
	expect("the last one speaks", "c")
	endB()
	expect("one below ended", "c")
	endB()
	endC()
	expect("all ended", "a")

	// The same source twice: each restore ends its own.
	end1 := a.Override(b.Source)
	endC = a.Override(c.Source)
	end2 := a.Override(b.Source)
	expect("b over c over b", "b")
	end2()
	expect("the upper b ended", "c")
	endC()
	expect("the lower b is left", "b")
	end1()
	expect("nobody overrides", "a")
	end1 = a.Override(b.Source)
	end2 = a.Override(b.Source)
	expect("b twice is heard once", "b")
	end1()
	end2()

	// Links that are made and removed meanwhile.
	end1 = a.Override(b.Source)
	late := mediatest.NewRecorder(media.PCMU())
	a.Link(late)
	if got := who(late, ts); got != "b" {
		t.Fatalf("a sink that came later heard %q, want b", got)
	}
	a.Unlink(k)
	expect("unlinked", "")
	d.Link(k)
	expect("linked to another", "d")
	end1()
	expect("another's override ended", "d")
	if got := who(late, ts); got != "a" {
		t.Fatalf("after restore the late sink heard %q, want a", got)
	}

	// Whoever overrides closes, or is closed.
	end1 = d.Override(c.Source)
	d.Override(b.Source)
	b.Close()
	expect("the top one closed", "c")
	d.Close()
	expect("the overridden one closed", "")
	end1()
	a.Link(k)
	expect("linked again", "a")
	a.Override(a.Source)()
	expect("nobody overrides itself", "a")
}

func TestFormatsOfAnOverride(t *testing.T) {
	reg, conversions := counting()
	a := mediatest.NewTalker(nil, media.PCMA())
	m := mediatest.NewTalker(reg, media.PCMU())
	k := mediatest.NewRecorder(media.PCMA())
	a.Link(k)
	defer a.Override(m.Source)()
	m.Say([]byte{1})
	k.Take(media.PCMU()) // renegotiated while overridden: the speaker's routes change
	media.Renegotiate(&node{sinks: []media.Sink{k}})
	m.Say([]byte{1})
	got := k.Frames()
	if len(got) != 2 || got[0].Format.Codec != "PCMA" || got[1].Format.Codec != "PCMU" || conversions.Load() != 1 {
		t.Errorf("%d conversions, got %+v", conversions.Load(), got)
	}
}

// Random changes against a model that is too simple to be wrong.
func TestOverridesAgainstAModel(t *testing.T) {
	const sources, sinks = 4, 3
	rnd := rand.New(rand.NewPCG(7, 9))
	ts := talkers(sources)
	var ks []*mediatest.Recorder
	for range sinks {
		ks = append(ks, mediatest.NewRecorder(media.PCMU()))
	}
	type entry struct {
		by      int
		restore func()
	}
	home := [sinks]int{-1, -1, -1}
	stacks := [sources][]entry{}
	for step := range 3000 {
		s, k := rnd.IntN(sources), rnd.IntN(sinks)
		switch rnd.IntN(4) {
		case 0:
			ts[s].Link(ks[k])
			home[k] = s
		case 1:
			ts[s].Unlink(ks[k])
			if home[k] == s {
				home[k] = -1
			}
		case 2:
			by := rnd.IntN(sources)
			if by != s && len(stacks[s]) < 4 {
				stacks[s] = append(stacks[s], entry{by, ts[s].Override(ts[by].Source)})
			}
		case 3:
			if n := len(stacks[s]); n > 0 {
				i := rnd.IntN(n)
				stacks[s][i].restore()
				stacks[s] = append(stacks[s][:i:i], stacks[s][i+1:]...)
			}
		}
		for i, r := range ks {
			want := ""
			if home[i] >= 0 {
				speaker := home[i]
				if st := stacks[home[i]]; len(st) > 0 {
					speaker = st[len(st)-1].by
				}
				want = string(rune('a' + speaker))
			}
			if got := who(r, ts); got != want {
				t.Fatalf("step %d: sink %d of source %d hears %q, want %q", step, i, home[i], got, want)
			}
		}
	}
}
