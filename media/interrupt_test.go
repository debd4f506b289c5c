package media_test

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestInterrupt(t *testing.T) {
	ts := talkers(4)
	a, b, c, d := ts[0], ts[1], ts[2], ts[3]
	k, other := mediatest.NewRecorder(media.PCMU()), mediatest.NewRecorder(media.PCMU())
	expect := func(what, want, beside string) {
		t.Helper()
		if got := who(k, ts); got != want {
			t.Fatalf("%s: heard %q, want %q", what, got, want)
		}
		if got := who(other, ts); got != beside {
			t.Fatalf("%s: the other sink heard %q, want %q", what, got, beside)
		}
	}
	a.Link(other)
	end := media.Interrupt(k, b.Source)
	expect("nothing fed it", "b", "a")
	end()
	end()
	expect("nothing again", "", "a")

	a.Link(k)
	end = media.Interrupt(k, b.Source)
	expect("one sink of two", "b", "a")
	endC := media.Interrupt(k, c.Source)
	expect("a later one", "c", "a")
	end()
	expect("one that was ended already", "c", "a")
	d.Link(k)
	expect("linked to another meanwhile", "c", "a")
	endC()
	expect("that one speaks now", "d", "a")

	end = media.Interrupt(k, b.Source)
	d.Unlink(k)
	expect("unlinked meanwhile", "b", "a")
	end()
	expect("it stays so", "", "a")

	// A source that is linked to the sink interrupts it, and one that overrides its source is silenced too.
	a.Link(k)
	end = media.Interrupt(k, a.Source)
	expect("its own source", "a", "a")
	restore := a.Override(d.Source)
	expect("overridden elsewhere", "a", "d")
	end()
	expect("overridden here too", "d", "d")
	end = media.Interrupt(k, b.Source)
	restore()
	expect("the override ended", "b", "a")

	b.Close()
	expect("whoever interrupts closes", "a", "a")
	end()
	media.Interrupt(k, b.Source)
	expect("a closed source", "a", "a")
	media.Interrupt(k, c.Source)
	k.Detach()
	expect("detached", "", "a")
	media.Interrupt(k, c.Source)
	expect("detached before", "", "a")
}
