package kurento

import (
	"reflect"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// Element is what every element embeds: its connections to others, and what a MediaElement can be asked. The embedder's
// constructor calls Init; its Close, if it has one, calls Element's first.
type Element struct {
	self     *rpc.Object
	pipeline *Pipeline

	// Guarded by the pipeline's graph.
	media  media.Element // nil: there are no pads
	in     []*connection // by which others feed it, in the order of connecting
	out    []*connection // by which it feeds others
	flows  []*flow
	audio  *AudioCaps // nil: whatever sinks take
	video  *VideoCaps
	closed bool

	preferred []*media.Format // of its audio and video, while it has none
	passes    bool            // what it gets, as it comes

	mu       sync.Mutex
	bitrates bitrates
	stats    func(MediaType, ElementStats) map[string]AnyStats
}

// bitrates of encoders of video, bit/s. They are kept for clients to read: there is none to heed them, video is passed on as it
// comes. Encoders of audio go by its rate, as Kurento's do.
type bitrates struct{ target, min, max int }

func elementClass() *rpc.Class {
	about := []rpc.Param{rpc.Arg("sink"), rpc.Opt("mediaType"), rpc.Opt("sourceMediaDescription"), rpc.Opt("sinkMediaDescription")}
	return &rpc.Class{Name: "MediaElement", Doc: "Has pads by which media enters and leaves, and connects to others.", Abstract: true, Type: reflect.TypeFor[*Element](),
		Props: []rpc.Prop{
			rpc.Property("encoderBitrate", (*Element).EncoderBitrate, (*Element).SetEncoderBitrate),
			rpc.Property("minEncoderBitrate", (*Element).MinEncoderBitrate, (*Element).SetMinEncoderBitrate),
			rpc.Property("maxEncoderBitrate", (*Element).MaxEncoderBitrate, (*Element).SetMaxEncoderBitrate),
		},
		Ops: []rpc.Op{
			rpc.Method("getSourceConnections", (*Element).SourceConnections, rpc.Opt("mediaType"), rpc.Opt("description")),
			rpc.Method("getSinkConnections", (*Element).SinkConnections, rpc.Opt("mediaType"), rpc.Opt("description")),
			rpc.Method("connect", (*Element).Connect, about...),
			rpc.Method("disconnect", (*Element).Disconnect, about...),
			rpc.Method("setAudioFormat", (*Element).SetAudioFormat, rpc.Arg("caps")),
			rpc.Method("setVideoFormat", (*Element).SetVideoFormat, rpc.Arg("caps")),
			rpc.Method("dumpGstreamerDot", (*Element).DumpDot, rpc.Opt("details")),
			rpc.Method("getGstreamerDot", (*Element).Dot, rpc.Opt("details")),
			rpc.Method("getStats", (*Element).Stats, rpc.Opt("mediaType")),
			rpc.Method("isMediaFlowingIn", (*Element).FlowingIn, rpc.Arg("mediaType"), rpc.OptArg("sinkMediaDescription", defaultDescription)),
			rpc.Method("isMediaFlowingOut", (*Element).FlowingOut, rpc.Arg("mediaType"), rpc.OptArg("sourceMediaDescription", defaultDescription)),
			rpc.Method("isMediaTranscoding", (*Element).Transcoding, rpc.Arg("mediaType"), rpc.OptArg("binName", defaultDescription)),
		},
		Events: []string{"ElementConnected", "ElementDisconnected", "MediaFlowOutStateChanged", "MediaFlowInStateChanged", "MediaTranscodingStateChanged"}}
}

// Init makes the element ready: self is how clients see it, p the pipeline that it is in, and m has its pads. m may be nil:
// connections can be made before there are pads. m stays the caller's, who closes it after Element's Close.
func (e *Element) Init(self *rpc.Object, p *Pipeline, m media.Element) {
	e.self, e.pipeline = self, p
	e.bitrates.target = 300_000
	e.Attach(m)
}

// Object is the element as clients see it.
func (e *Element) Object() *rpc.Object { return e.self }

// Pipeline is where the element is.
func (e *Element) Pipeline() *Pipeline { return e.pipeline }

// Attach says that m has the element's pads from now on: all connections that were made are linked to them. nil takes the
// pads away. It is called again, with the same m, when m has other pads than before. m stays the caller's.
func (e *Element) Attach(m media.Element) {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	if e.closed {
		return
	}
	e.media = m
	for _, list := range [][]*connection{e.in, e.out} {
		for _, c := range list {
			c.link()
		}
	}
	e.shape()
	e.watchPads()
}

// Close disconnects the element, both ways, and takes its pads away. Events tell of it.
func (e *Element) Close() error {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	e.closed = true
	for len(e.in) > 0 {
		e.in[0].end()
	}
	for len(e.out) > 0 {
		e.out[0].end()
	}
	e.media = nil
	e.watchPads()
	return nil
}

// EncoderBitrate is what encoders of video begin with, bit/s.
func (e *Element) EncoderBitrate() int { return e.bitrate(func(b *bitrates) *int { return &b.target }) }

// MinEncoderBitrate is the least that encoders are brought down to, bit/s; 0 = no limit.
func (e *Element) MinEncoderBitrate() int { return e.bitrate(func(b *bitrates) *int { return &b.min }) }

// MaxEncoderBitrate is the most that encoders may use, bit/s; 0 = no limit.
func (e *Element) MaxEncoderBitrate() int { return e.bitrate(func(b *bitrates) *int { return &b.max }) }

// SetEncoderBitrate sets what encoders begin with, bit/s, at least 0.
func (e *Element) SetEncoderBitrate(v int) error {
	return e.setBitrate("encoderBitrate", func(b *bitrates) *int { return &b.target }, v)
}

// SetMinEncoderBitrate sets the least that encoders are brought down to, bit/s, at least 0.
func (e *Element) SetMinEncoderBitrate(v int) error {
	return e.setBitrate("minEncoderBitrate", func(b *bitrates) *int { return &b.min }, v)
}

// SetMaxEncoderBitrate sets the most that encoders may use, bit/s, at least 0.
func (e *Element) SetMaxEncoderBitrate(v int) error {
	return e.setBitrate("maxEncoderBitrate", func(b *bitrates) *int { return &b.max }, v)
}

func (e *Element) bitrate(of func(*bitrates) *int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *of(&e.bitrates)
}

func (e *Element) setBitrate(name string, of func(*bitrates) *int, v int) error {
	if v < 0 {
		return rpc.Errorf(rpc.IllegalParam, "'%s' is %d bit/s, should be 0 or more", name, v)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	*of(&e.bitrates) = v
	return nil
}

// SetAudioFormat makes the element send audio in this format to all sinks that take it.
func (e *Element) SetAudioFormat(caps AudioCaps) {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	e.audio = &caps
	e.shape()
}

// shape has the element's audio pad send what SetAudioFormat asked for. The graph is held.
func (e *Element) shape() {
	if e.audio == nil {
		return
	}
	if pad := e.sourcePad(MediaTypeAudio, defaultDescription); pad != nil {
		codec := string(e.audio.Codec)
		if e.audio.Codec == AudioCodecRaw {
			codec = "L16"
		}
		pad.SetCodec(codec)
	}
}

// SetVideoFormat makes the element send video in this format. There is no conversion of video: what comes in another format
// goes on in that.
func (e *Element) SetVideoFormat(caps VideoCaps) {
	e.pipeline.graph.Lock()
	defer e.pipeline.graph.Unlock()
	e.video = &caps
}
