package call

import (
	"fmt"
	"slices"
	"strconv"
)

// AppendJSON appends the stored form, which is that of MarshalJSON. From data on it holds that of e.Data and one closing brace.
func (e *Event) AppendJSON(b []byte) (out []byte, data int, err error) {
	if e.Data == nil {
		return b, 0, fmt.Errorf("event %s/%d: no data", e.Call, e.Seq)
	}
	w := writer{b: b}
	w.open()
	w.id("call", e.Call)
	w.count("seq", e.Seq)
	w.time("at", e.At)
	w.number("mono", e.Mono)
	w.numberIf("leg", int64(e.Leg))
	w.text("kind", string(e.Data.Kind()))
	w.key("data")
	data = len(w.b)
	w.data(e.Data)
	w.close()
	if w.err != nil {
		return b, 0, fmt.Errorf("event %s/%d: %w", e.Call, e.Seq, w.err)
	}
	return w.b, data, nil
}

// data appends what an event tells: the kinds that every call has by hand.
func (w *writer) data(d Data) {
	switch d := d.(type) {
	case Start:
		w.start(&d)
	case Decision:
		w.decision(&d)
	case LegNew:
		w.leg(&d)
	case Progress:
		w.progress(&d)
	case Negotiated:
		w.media(&d.Media)
	case Answer:
		w.open()
		w.textIf("remoteTag", d.RemoteTag)
		w.textIf("termIoi", d.TermIOI)
		w.rawIf("dialog", d.Dialog)
		if d.Carried != nil {
			w.key("carried")
			w.other(d.Carried)
		}
		w.close()
	case Dialog:
		w.open()
		w.raw("dialog", d.Dialog)
		w.close()
	case Bridge:
		w.open()
		w.number("with", int64(d.With))
		w.close()
	case Interim:
		w.interim(&d)
	case Measured:
		w.measured(&d)
	case Note:
		w.open()
		w.text("text", d.Text)
		w.flagIf("lost", d.Lost)
		w.close()
	case LegEnd:
		w.open()
		w.cause("cause", &d.Cause)
		w.flagIf("hungUp", d.HungUp)
		w.flagIf("left", d.Left)
		if d.Quality != nil {
			w.key("quality")
			w.quality(d.Quality)
		}
		w.close()
	case End:
		w.open()
		w.text("by", string(d.By))
		w.cause("cause", &d.Cause)
		w.flagIf("unsaid", d.Unsaid)
		w.close()
	default:
		w.other(d)
	}
}

func (w *writer) start(d *Start) {
	w.open()
	w.text("tenant", d.Tenant)
	w.id("linkedId", d.LinkedID)
	w.text("node", d.Node)
	w.count("epoch", d.Epoch)
	w.text("origin", d.Origin)
	w.textIf("sessionId", d.SessionID)
	w.textIf("app", d.App)
	w.text("direction", string(d.Direction))
	w.textIf("user", d.User)
	w.textIf("trunk", d.Trunk)
	w.text("from", d.From)
	w.text("to", d.To)
	w.textIf("fromNumber", d.FromN)
	w.textIf("toNumber", d.ToN)
	w.textIf("icid", d.ICID)
	w.textIf("icidGeneratedAt", d.ICIDAt)
	w.textIf("origIoi", d.OrigIOI)
	w.textIf("termIoi", d.TermIOI)
	w.close()
}

func (w *writer) decision(d *Decision) {
	w.open()
	w.textIf("route", d.Route)
	w.textIf("fromNumber", d.FromN)
	w.textIf("toNumber", d.ToN)
	w.textIf("direction", string(d.To))
	w.text("text", d.Text)
	w.flagIf("refuse", d.Refuse)
	w.textIf("passed", d.Passed)
	if d.Cause != nil {
		w.cause("cause", d.Cause)
	}
	w.flagIf("emergency", d.Emergency)
	w.close()
}

func (w *writer) leg(d *LegNew) {
	w.open()
	w.number("attempt", int64(d.Attempt))
	w.text("role", string(d.Role))
	w.text("kind", d.Medium)
	w.text("direction", string(d.Direction))
	w.textIf("user", d.User)
	w.textIf("trunk", d.Trunk)
	w.textIf("transport", d.Transport)
	w.textIf("sipCallId", d.SIPCallID)
	w.textIf("localTag", d.LocalTag)
	w.textIf("remoteTag", d.RemoteTag)
	w.textIf("fromUri", d.FromURI)
	w.textIf("toUri", d.ToURI)
	w.textIf("requestUri", d.RequestURI)
	w.textIf("contact", d.Contact)
	w.textIf("pai", d.PAI)
	w.textIf("diversion", d.Diversion)
	w.textIf("ppi", d.PPI)
	w.textIf("rpid", d.RPID)
	w.textIf("privacy", d.Privacy)
	w.textIf("historyInfo", d.HistoryInfo)
	w.textIf("chargingVector", d.Charging)
	w.textIf("accessNetworkInfo", d.Access)
	w.textIf("userAgent", d.UserAgent)
	w.addr("signalling", d.Signalling)
	w.rawIf("dialog", d.Dialog)
	w.close()
}

func (w *writer) progress(d *Progress) {
	w.open()
	w.number("status", int64(d.Status))
	w.textIf("phrase", d.Phrase)
	w.textIf("tag", d.Tag)
	w.flagIf("earlyMedia", d.EarlyMedia)
	w.rawIf("dialog", d.Dialog)
	w.close()
}

func (w *writer) media(m *Media) {
	w.open()
	w.textIf("codec", m.Codec)
	w.numberIf("ptime", int64(m.Ptime))
	w.textIf("dtmf", m.DTMF)
	w.textIf("srtp", m.SRTP)
	w.textIf("direction", m.Direction)
	w.addr("local", m.Local)
	w.addr("remote", m.Remote)
	w.flagIf("transcoded", m.Transcoded)
	w.close()
}

func (w *writer) cause(name string, c *Cause) {
	w.key(name)
	w.open()
	w.number("q850", int64(c.Q850))
	w.numberIf("sip", int64(c.SIP))
	w.textIf("text", c.Text)
	w.textIf("raw", c.Raw)
	w.close()
}

func (w *writer) interim(d *Interim) {
	w.open()
	w.key("quality")
	if d.Quality == nil {
		w.b = append(w.b, "null}"...)
		return
	}
	legs := make([]string, 0, 4)
	for no := range d.Quality {
		legs = append(legs, strconv.Itoa(no))
	}
	slices.Sort(legs)
	w.open()
	for _, no := range legs {
		n, _ := strconv.Atoi(no) // which it was made of
		w.key(no)
		w.quality(d.Quality[n])
	}
	w.close()
	w.close()
}

// AppendJSON appends what JSON says of q; null of nil.
func (q *Quality) AppendJSON(b []byte) ([]byte, error) {
	w := writer{b: b}
	w.quality(q)
	return w.b, w.err
}

func (w *writer) quality(q *Quality) {
	if q == nil {
		w.b = append(w.b, "null"...)
		return
	}
	w.open()
	w.count("received", q.Received)
	w.count("receivedBytes", q.ReceivedB)
	w.count("sent", q.Sent)
	w.count("sentBytes", q.SentB)
	w.number("lost", q.Lost)
	w.count("duplicate", q.Duplicate)
	w.count("reordered", q.Reordered)
	w.real("jitterMs", q.JitterMS)
	w.real("jitterMaxMs", q.JitterMaxMS)
	w.realIf("rttMs", q.RTTMS)
	w.number("remoteLost", q.RemoteLost)
	w.realIf("remoteJitterMs", q.RemoteJit)
	w.count("rejected", q.Rejected)
	w.numberAt("firstRtpMs", q.FirstRTPMS)
	w.numberIf("lastRtpMono", q.LastRTPMono)
	w.close()
}
