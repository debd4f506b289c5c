package carrier

import (
	"strings"
	"time"

	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// refusal is how a number that takes no call refuses it.
type refusal struct {
	status, cause int // SIP; Q.850
	text          string
}

// serves finds what a number does: it serves the call, or refuses it.
func serves(number string) (serve func(*call), no refusal) {
	switch number {
	case "9000":
		return greeting, refusal{}
	case "9001":
		return milliwatt, refusal{}
	case "9002":
		return nil, refusal{486, 17, "User busy"}
	case "9003":
		return unanswered, refusal{}
	case "9004":
		return announcement, refusal{}
	case "9005":
		return readBack, refusal{}
	case "9006":
		return shortly, refusal{}
	case "9503":
		return nil, refusal{503, 41, "Temporary failure"}
	}
	return nil, refusal{404, 1, "Unallocated number"} // 9404 among all others
}

// numberOf is the number that an inbound INVITE is for.
func numberOf(d *sip.Dialog) string { return user(d.Request().URI) }

// user is the user part of a URI, unescaped, without the parameters that telephone numbers may have there.
func user(u sip.URI) string {
	name := wire.Unescape(u.User)
	if u.Scheme == "tel" {
		name = u.Opaque
	}
	name, _, _ = strings.Cut(name, ";")
	return name
}

// greeting is 9000: speech, then echo.
func greeting(k *call) {
	if k.answer() && k.say(k.c.speech.greeting) && k.echo() {
		k.rest()
	}
}

// milliwatt is 9001: 1004 Hz at 0 dBm0.
func milliwatt(k *call) {
	if k.answer() && k.check(k.leg.Tone(tone.Milliwatt(1004), nil)) {
		k.rest()
	}
}

// unanswered is 9003: it rings and nobody is there.
func unanswered(k *call) {
	if k.check(k.leg.Progress(180, false)) {
		k.rest()
	}
}

// announcement is 9004: speech before the answer, then echo.
func announcement(k *call) {
	if k.early() && k.say(k.c.speech.announcement) && k.answer() && k.echo() {
		k.rest()
	}
}

// pause is how long nothing must be dialled for the digits so far to be a whole.
const pause = 3 * time.Second

// readBack is 9005: it collects digits until # or a pause, then sends the same back, each as telephone-event and in words.
func readBack(k *call) {
	if !k.answer() || !k.check(k.leg.Silence()) {
		return
	}
	for {
		digits, ok := k.collect()
		if !ok {
			return
		}
		k.log.Info("digits", "number", digits)
		for _, d := range []byte(digits) {
			if !k.press(d) || !k.say(k.c.speech.digits[d]) || !k.check(k.leg.Silence()) {
				return
			}
		}
	}
}

// shortly is 9006: it answers and hangs up after three seconds.
func shortly(k *call) {
	if k.answer() && k.check(k.leg.Silence()) && k.sleep(3*time.Second) {
		k.hangup(16, "Normal call clearing")
	}
}
