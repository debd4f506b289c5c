// Package opus converts between Opus (RFC 6716, RTP payload RFC 7587) and linear PCM.
//
// Opus codes and decodes at any of its rates, whatever the other side used, so telephone audio is decoded at and encoded
// from 8 kHz, and nothing is resampled. The RTP clock is 48 kHz at any rate (RFC 7587 4.1).
package opus

import (
	"fmt"

	"github.com/patchbay/patchbay/media"
)

// Clock is the RTP clock rate of Opus in Hz, whatever the audio's rate (RFC 7587 4.1).
const Clock = 48000

// Format is Opus on the wire: two channels in the name even if both sides send mono (RFC 7587 7). Its parameters are wishes of the
// receiver; none changes what the bytes mean.
func Format() *media.Format { return &media.Format{Codec: "OPUS", Clock: Clock, Channels: 2} }

// NarrowParams is the fmtp to offer or answer when the far side is a telephone: nobody hears more than 8 kHz samples hold, so the
// peer needn't send more (RFC 7587 6.1).
const NarrowParams = "maxplaybackrate=8000;sprop-maxcapturerate=8000;stereo=0;useinbandfec=1"

// WideParams is the fmtp to offer or answer when audio is relayed, or decoded at more than 8 kHz.
const WideParams = "minptime=10;useinbandfec=1"

// Params is the fmtp for audio that is played at this rate in Hz.
func Params(rate int) string {
	if rate <= 8000 {
		return NarrowParams
	}
	return WideParams
}

// rates are what is coded from and decoded to, with what suits speech at that rate. Of telephone audio, which most transcoded calls
// have, the search for the best pulses isn't worth its price: complexity 1 rather than 3 halves the encoder's CPU time for 0.3 dB of
// signal to noise (14.2 rather than 14.4 in TestSpeechThereAndBack).
var rates = [...]rate{
	{hz: 8000, bits: 20000, complexity: 1, encode: 40, decode: 40},
	{hz: 16000, bits: 24000, complexity: 3, encode: 110, decode: 45},
	{hz: 48000, bits: 32000, complexity: 3, encode: 150, decode: 60},
}

type rate struct {
	hz             int
	bits           int // per second
	complexity     int // of libopus's scale, 0 to 10
	encode, decode int // us per 20 ms frame
}

// Conversions are the ways between Opus and L16 at 8, 16 and 48 kHz, mono, and those of RFC 4733 events between the clock
// of Opus and that of telephones. Frames come out 20 ms long, however long they went in.
func Conversions() []media.Conversion {
	out := []media.Conversion{
		{From: media.TelephoneEvent(Clock), To: media.TelephoneEvent(8000), Cost: 1, New: func() media.Converter { return &events{from: Clock, to: 8000} }},
		{From: media.TelephoneEvent(8000), To: media.TelephoneEvent(Clock), Cost: 1, New: func() media.Converter { return &events{from: 8000, to: Clock} }},
	}
	for _, r := range rates {
		out = append(out,
			media.Conversion{From: Format(), To: media.L16(r.hz), Cost: r.decode, New: reuse(r)},
			media.Conversion{From: media.L16(r.hz), To: Format(), Cost: r.encode, New: func() media.Converter { return newEncoder(r) }})
	}
	return out
}

// must is for calls that fail only if a constant of this package is wrong.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("opus: %w", err))
	}
}
