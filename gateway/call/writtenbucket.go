package call

func (w *writer) measured(d *Measured) {
	w.open()
	w.key("buckets")
	if d.Buckets == nil {
		w.b = append(w.b, "null}"...)
		return
	}
	w.b = append(w.b, '[')
	for i := range d.Buckets {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.bucket(&d.Buckets[i])
	}
	w.b = append(w.b, ']')
	w.close()
}

func (w *writer) bucket(b *Bucket) {
	w.open()
	w.number("leg", int64(b.Leg))
	w.text("stream", b.Stream)
	w.number("bucket", int64(b.No))
	w.number("spanMs", b.SpanMS)
	w.numberIf("ssrc", int64(b.SSRC))
	w.textIf("codec", b.Codec)
	w.count("packets", b.Packets)
	w.count("bytes", b.Bytes)
	for _, m := range [...]struct {
		name string
		n    *int64
	}{{"lost", b.Lost}, {"duplicate", b.Duplicate}, {"reordered", b.Reordered}, {"rejected", b.Rejected}, {"bursts", b.Bursts}} {
		w.numberAt(m.name, m.n)
	}
	for _, m := range [...]struct {
		name string
		f    *float64
	}{{"jitterMs", b.Jitter}, {"jitterMinMs", b.JitterMin}, {"jitterAvgMs", b.JitterAvg}, {"jitterP95Ms", b.JitterP95}, {"jitterMaxMs", b.JitterMax},
		{"rttMs", b.RTT}, {"rttMinMs", b.RTTMin}, {"rttMaxMs", b.RTTMax}, {"skewPpm", b.Skew}} {
		w.realAt(m.name, m.f)
	}
	w.numberAt("silenceMs", b.Silence)
	if b.XR != nil {
		w.key("xr")
		w.xr(b.XR)
	}
	for _, m := range [...]struct {
		name string
		f    *float64
	}{{"r", b.R}, {"mosCq", b.MOSCQ}, {"mosLq", b.MOSLQ}, {"ie", b.Ie}, {"bpl", b.Bpl}, {"ppl", b.Ppl}, {"burstR", b.BurstR}, {"delayMs", b.Delay}} {
		w.realAt(m.name, m.f)
	}
	w.numberAt("firstRtpMs", b.FirstRTP)
	w.flagIf("noMedia", b.NoMedia)
	w.flagIf("oneWay", b.OneWay)
	if len(b.Modelled) > 0 {
		w.key("modelled")
		w.b = append(w.b, '[')
		for i, s := range b.Modelled {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.quote(s)
		}
		w.b = append(w.b, ']')
	}
	w.flagIf("provisional", b.Provisional)
	w.close()
}

func (w *writer) xr(x *XR) {
	w.open()
	for _, m := range [...]struct {
		name string
		f    *float64
	}{{"lossPercent", x.Loss}, {"discardPercent", x.Discard}, {"burstDensityPercent", x.BurstDensity}, {"gapDensityPercent", x.GapDensity},
		{"burstMs", x.Burst}, {"gapMs", x.Gap}, {"rttMs", x.RTT}, {"delayMs", x.Delay}, {"signalDbm", x.Signal}, {"noiseDbm", x.Noise},
		{"echoLossDb", x.EchoLoss}, {"r", x.R}, {"externalR", x.ExternalR}, {"mosLq", x.MOSLQ}, {"mosCq", x.MOSCQ},
		{"bufferMs", x.Buffer}, {"bufferMaxMs", x.BufferMax}} {
		w.realAt(m.name, m.f)
	}
	w.numberAt("lost", x.Lost)
	w.numberAt("duplicate", x.Duplicate)
	w.textIf("concealment", x.Concealment)
	w.close()
}
