package call

import "math"

// Streams of a leg.
const (
	StreamIn  = "in"  // what its party sent, as it came to us
	StreamOut = "out" // what we sent to it, and what it reported of that
)

// Bucket is what one stream of an answered leg was like for ten seconds, or, number 0, from the answer to the leg's end. What a
// gateway that relays packets can't know is nil; what is computed of a model instead of counted is named in Modelled. The names in
// JSON are stable: records outlive versions.
type Bucket struct {
	Leg    int    `json:"leg"`
	Stream string `json:"stream"`
	No     int    `json:"bucket"` // from 1; 0 = the whole leg
	SpanMS int64  `json:"spanMs"`

	SSRC      uint32 `json:"ssrc,omitempty"`
	Codec     string `json:"codec,omitempty"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`               // of payload
	Lost      *int64 `json:"lost,omitempty"`      // of StreamOut: as the party reported; it may be negative after duplicates
	Duplicate *int64 `json:"duplicate,omitempty"` // of StreamIn alone, as are the next three
	Reordered *int64 `json:"reordered,omitempty"`
	Rejected  *int64 `json:"rejected,omitempty"` // from elsewhere than the party's place, or not genuine
	Bursts    *int64 `json:"bursts,omitempty"`   // runs of lost packets

	// Interarrival jitter (RFC 3550 6.4.1), ms. Of StreamOut: as the party reported last.
	Jitter    *float64 `json:"jitterMs,omitempty"`
	JitterMin *float64 `json:"jitterMinMs,omitempty"`
	JitterAvg *float64 `json:"jitterAvgMs,omitempty"`
	JitterP95 *float64 `json:"jitterP95Ms,omitempty"`
	JitterMax *float64 `json:"jitterMaxMs,omitempty"`
	RTT       *float64 `json:"rttMs,omitempty"` // between the party and us, of the latest report
	RTTMin    *float64 `json:"rttMinMs,omitempty"`
	RTTMax    *float64 `json:"rttMaxMs,omitempty"`

	Skew    *float64 `json:"skewPpm,omitempty"`   // by which the party's clock runs faster than ours, since its stream began; nil while it isn't certain
	Silence *int64   `json:"silenceMs,omitempty"` // that the party left out, told when it speaks again; nil = it leaves none out, so that nobody knows
	XR      *XR      `json:"xr,omitempty"`        // of StreamOut, if the party has said more since the bucket before

	// The E-model (G.107) and its inputs.
	R      *float64 `json:"r,omitempty"`
	MOSCQ  *float64 `json:"mosCq,omitempty"` // conversational: with the delay; nil while nobody reported a round trip
	MOSLQ  *float64 `json:"mosLq,omitempty"` // listening: without
	Ie     *float64 `json:"ie,omitempty"`
	Bpl    *float64 `json:"bpl,omitempty"`
	Ppl    *float64 `json:"ppl,omitempty"`     // percent
	BurstR *float64 `json:"burstR,omitempty"`  // 1 = as random loss
	Delay  *float64 `json:"delayMs,omitempty"` // one way, of this leg alone

	FirstRTP *int64 `json:"firstRtpMs,omitempty"` // from the leg's answer to its first packet; of StreamIn
	NoMedia  bool   `json:"noMedia,omitempty"`    // nothing came, or went, though it should have
	OneWay   bool   `json:"oneWay,omitempty"`     // nothing came, though something went

	Modelled    []string `json:"modelled,omitempty"`    // such as delay, burst_r
	Provisional bool     `json:"provisional,omitempty"` // Ie and Bpl are ours: nobody has agreed on them
}

// XR is what a party measured of what it was sent (RFC 3611), as it says itself. What it doesn't say is nil.
type XR struct {
	Loss         *float64 `json:"lossPercent,omitempty"`
	Discard      *float64 `json:"discardPercent,omitempty"` // that came, and not in time for its jitter buffer
	BurstDensity *float64 `json:"burstDensityPercent,omitempty"`
	GapDensity   *float64 `json:"gapDensityPercent,omitempty"`
	Burst        *float64 `json:"burstMs,omitempty"`
	Gap          *float64 `json:"gapMs,omitempty"`
	RTT          *float64 `json:"rttMs,omitempty"`
	Delay        *float64 `json:"delayMs,omitempty"` // its own, from packet to ear and from mouth to packet
	Signal       *float64 `json:"signalDbm,omitempty"`
	Noise        *float64 `json:"noiseDbm,omitempty"`
	EchoLoss     *float64 `json:"echoLossDb,omitempty"`
	R            *float64 `json:"r,omitempty"`
	ExternalR    *float64 `json:"externalR,omitempty"`
	MOSLQ        *float64 `json:"mosLq,omitempty"`
	MOSCQ        *float64 `json:"mosCq,omitempty"`
	Buffer       *float64 `json:"bufferMs,omitempty"`
	BufferMax    *float64 `json:"bufferMaxMs,omitempty"`
	Lost         *int64   `json:"lost,omitempty"`
	Duplicate    *int64   `json:"duplicate,omitempty"`
	Concealment  string   `json:"concealment,omitempty"` // disabled, enhanced, standard
}

// MOS is the party's own score: the conversational one if it says that.
func (x *XR) MOS() *float64 {
	if x.MOSCQ != nil {
		return x.MOSCQ
	}
	return x.MOSLQ
}

// MOS is the bucket's score: the conversational one if it is known.
func (b *Bucket) MOS() *float64 {
	if b.MOSCQ != nil {
		return b.MOSCQ
	}
	return b.MOSLQ
}

// Measured is written every ten seconds of an answered call, and at its end.
type Measured struct {
	Buckets []Bucket `json:"buckets"`
}

// Kind of a Measured.
func (Measured) Kind() Kind { return KindQuality }

// PartialRecord puts a call that goes on on record as it is now (TS 32.298: partial output record).
type PartialRecord struct {
	No int `json:"no"` // from 1
}

// Kind of a PartialRecord.
func (PartialRecord) Kind() Kind { return KindPartial }

// fasTime is how long after its answer a callee may be silent (ms).
const fasTime = 2000

// measured adds buckets to what the call says of its quality.
func (c *Call) measured(d Measured) {
	for i := range d.Buckets {
		b := &d.Buckets[i]
		l := c.Leg(b.Leg)
		if l == nil {
			continue
		}
		if b.No == 0 {
			c.whole(l, b)
			continue
		}
		if b.Stream == StreamIn && l.Role == CalleeLeg && b.No == 1 {
			late := b.FirstRTP != nil && *b.FirstRTP > fasTime || b.FirstRTP == nil && b.NoMedia && b.SpanMS > fasTime
			c.FASSuspect = c.FASSuspect || late
		}
		if mos := b.MOS(); mos != nil && b.SpanMS > 0 {
			c.mosSum += *mos * float64(b.SpanMS)
			c.mosSpan += float64(b.SpanMS)
			avg := math.Round(100*c.mosSum/c.mosSpan) / 100
			c.MOSAvg = &avg
			if c.MOSMin == nil || *mos < *c.MOSMin {
				c.MOSMin = mos
			}
		}
	}
}

// whole takes what a leg's stream was like from its answer to its end.
func (c *Call) whole(l *Leg, b *Bucket) {
	c.OneWay = c.OneWay || b.OneWay
	if b.Stream == StreamIn {
		l.In = b
	} else {
		l.Out = b
	}
}
