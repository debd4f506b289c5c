package webrtc

import (
	"encoding/binary"
	"strings"
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/gcc"
	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/udp"
)

// Bounds of what a path is believed to take, in bit/s. What is sent isn't made here: the estimate tells those who make it.
const (
	pathFirst = 1_000_000
	pathLeast = 50_000
	pathMost  = 20_000_000
)

// estimatorFactory makes an estimator of what a line's path takes (Google Congestion Control), by the peer's feedback of what came when.
type estimatorFactory struct{ line *pionLine }

func (f estimatorFactory) NewInterceptor(string) (interceptor.Interceptor, error) {
	bwe, err := gcc.NewSendSideBWE(gcc.SendSideBWEInitialBitrate(pathFirst), gcc.SendSideBWEMinBitrate(pathLeast),
		gcc.SendSideBWEMaxBitrate(pathMost), gcc.SendSideBWEPacer(&unpaced{}))
	if err != nil {
		return nil, err
	}
	e := &estimator{bwe: bwe, tell: f.line.deal.scene.rich.out.estimated}
	bwe.OnTargetBitrateChange(func(int) { e.changed() })
	return e, nil
}

// estimator is Google Congestion Control, and a reach above it.
type estimator struct {
	interceptor.NoOp
	bwe   *gcc.SendSideBWE
	reach reach
	tell  func(float64)

	mu   sync.Mutex
	told float64
}

// changed tells what the path takes, if that is new. It comes on goroutines of pion's.
func (e *estimator) changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	rate := max(float64(e.bwe.GetTargetBitrate()), e.reach.now())
	if rate != e.told {
		e.told = rate
		e.tell(rate)
	}
}

// BindRTCPReader lets the estimator see the feedback. What it can't read is none of its.
func (e *estimator) BindRTCPReader(reader interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, attr, err := reader.Read(b, a)
		if err != nil {
			return n, attr, err
		}
		list, err := prtcp.Unmarshal(append([]byte(nil), b[:n]...))
		if err == nil {
			var told []prtcp.Packet
			for _, p := range list {
				if _, ok := p.(*prtcp.TransportLayerCC); ok {
					told = append(told, p)
				}
			}
			if len(told) > 0 {
				_ = e.bwe.WriteRTCP(told, attr)
				for _, p := range told {
					e.reach.hear(p.(*prtcp.TransportLayerCC), float64(e.bwe.GetTargetBitrate()), udp.Now())
				}
				e.changed()
			}
		}
		return n, attr, nil
	})
}

// BindLocalStream lets it see what is sent of pictures, which alone are numbered for it.
func (e *estimator) BindLocalStream(info *interceptor.StreamInfo, writer interceptor.RTPWriter) interceptor.RTPWriter {
	if !strings.HasPrefix(strings.ToLower(info.MimeType), "video/") {
		return writer
	}
	id := uint8(0)
	for _, x := range info.RTPHeaderExtensions {
		if x.URI == extTWCC {
			id = uint8(x.ID)
		}
	}
	next := e.bwe.AddStream(info, writer)
	return interceptor.RTPWriterFunc(func(h *prtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if number := h.GetExtension(id); id != 0 && len(number) >= 2 {
			e.reach.send(binary.BigEndian.Uint16(number), h.MarshalSize()+len(payload), udp.Now())
		}
		return next.Write(h, payload, a)
	})
}

func (e *estimator) Close() error { return e.bwe.Close() }

// unpaced sends at once, in whichever stream: what comes was paced by who made it.
type unpaced struct {
	mu sync.Mutex
	to interceptor.RTPWriter
}

func (p *unpaced) SetTargetBitrate(int) {}
func (p *unpaced) Close() error         { return nil }

func (p *unpaced) AddStream(_ uint32, writer interceptor.RTPWriter) {
	p.mu.Lock()
	p.to = writer
	p.mu.Unlock()
}

func (p *unpaced) Write(h *prtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	return to.Write(h, payload, a)
}

// tallyFactory counts a line's requests for lost packets.
type tallyFactory struct{ line *pionLine }

func (f tallyFactory) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &tally{line: f.line}, nil
}

type tally struct {
	interceptor.NoOp
	line *pionLine
}

func (t *tally) BindRTCPWriter(writer interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(list []prtcp.Packet, a interceptor.Attributes) (int, error) {
		for _, p := range list {
			if _, ok := p.(*prtcp.TransportLayerNack); ok {
				t.line.nacks.Add(1)
			}
		}
		return writer.Write(list, a)
	})
}
