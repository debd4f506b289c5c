package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// codecs compares the carrier's with ours, if it has told any.
func (x *examination) codecs() {
	if len(x.body) == 0 {
		x.add("codecs", OK, "", "not told in the answer to OPTIONS, which is usual; --call NUMBER asks for them")
		return
	}
	d, err := sdp.Parse(x.body)
	if err != nil || d.Audio() == nil {
		x.add("codecs", Warn, "", "the carrier's SDP can't be used: %v", err)
		return
	}
	var theirs, common []string
	for _, f := range d.Audio().Formats {
		if f.Codec == "" {
			continue
		}
		theirs = append(theirs, fmt.Sprintf("%s/%d", f.Codec, f.Clock))
		if slices.ContainsFunc(x.Codecs, func(c string) bool { return strings.EqualFold(c, f.Codec) }) {
			common = append(common, f.Codec)
		}
	}
	text := "the carrier has " + clip(strings.Join(theirs, ", "))
	if n := d.Audio().Ptime; n != 0 {
		text += fmt.Sprintf(", packets of %d ms", n)
	}
	if !slices.ContainsFunc(d.Audio().Formats, sdp.Format.Event) {
		text += ", no telephone-events"
	}
	if len(common) == 0 {
		x.add("codecs", Fail, "add one of them to the trunk's codecs, or ask the carrier for PCMA or PCMU", "%s; ours are %s: none in common", text, strings.Join(x.Codecs, ", "))
		return
	}
	x.add("codecs", OK, "", "%s; in common: %s", text, strings.Join(common, ", "))
}

// supports tells whether the carrier has an extension; told is false if it has said nothing of any.
func (x *examination) supports(tag string) (has, told bool) {
	var lists []sip.Headers
	if x.dialed != nil {
		lists = append(lists, x.dialed.headers...)
	}
	for _, r := range []*sip.Reply{x.reply, x.told} {
		if r != nil {
			lists = append(lists, r.Headers)
		}
	}
	for _, h := range lists {
		for _, name := range []string{"Supported", "Require"} {
			list := h.Values(name)
			told = told || len(list) > 0
			has = has || slices.ContainsFunc(list, func(v string) bool { return strings.EqualFold(strings.TrimSpace(v), tag) })
		}
	}
	return has, told
}

func (x *examination) reliable() {
	has, told := x.supports("100rel")
	switch {
	case x.Reliable == sip.ReliableNever && has:
		x.add("100rel", OK, "", "the carrier has it, the trunk's settings say never")
	case has:
		x.add("100rel", OK, "", "the carrier has it: provisional responses are confirmed")
	case !told && x.Reliable == sip.ReliableRequired:
		x.add("100rel", Warn, "calls to a carrier without it are refused with 420: set reliable to offered unless the carrier has it", "not told, and the trunk requires it")
	case !told:
		x.add("100rel", OK, "", "not told; it is used where the carrier has it")
	case x.Reliable == sip.ReliableRequired:
		x.add("100rel", Fail, "calls are refused with 420: set reliable to offered", "the carrier doesn't have it, and the trunk requires it")
	default:
		x.add("100rel", OK, "", "the carrier doesn't have it: provisional responses may get lost, calls work")
	}
}

func (x *examination) timers() {
	has, told := x.supports("timer")
	switch {
	case !x.Timers:
		x.add("timers", OK, "", "switched off by the trunk's session")
	case has:
		x.add("timers", OK, "", "the carrier has session timers")
	case !told:
		x.add("timers", OK, "", "not told; session timers are used where the carrier has them, else we refresh alone")
	default:
		x.add("timers", OK, "", "the carrier doesn't have session timers: we refresh calls alone")
	}
}

// skew is how far two clocks may be apart.
const skew = 5 * time.Second

// clock compares ours with the carrier's, and asks whether ours is kept.
func (x *examination) clock() {
	synced, known := Synchronised()
	advice := "switch time synchronisation on: timedatectl set-ntp true, or install chrony"
	for _, r := range []*sip.Reply{x.told, x.reply} {
		if r == nil {
			continue
		}
		at, err := http.ParseTime(r.Headers.Get("Date"))
		if err != nil {
			continue
		}
		off := time.Since(at).Round(time.Second)
		switch {
		case off.Abs() <= skew:
			x.add("clock", OK, "", "the carrier's clock is within %v of ours", max(off.Abs(), time.Second))
		case known && !synced:
			x.add("clock", Warn, advice, "the carrier's clock is %v away from ours, which isn't synchronised", off.Abs())
		default:
			x.add("clock", Warn, "one of the two is wrong; records and certificates go by ours", "the carrier's clock is %v away from ours", off.Abs())
		}
		return
	}
	switch {
	case known && !synced:
		x.add("clock", Warn, advice, "the carrier tells no time, and this host's clock isn't synchronised")
	case known:
		x.add("clock", OK, "", "the carrier tells no time; this host's clock is synchronised")
	default:
		x.add("clock", OK, "", "the carrier tells no time")
	}
}
