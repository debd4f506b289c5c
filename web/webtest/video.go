package webtest

import (
	"context"
	"strings"
)

// Layer is one size of a simulcast (RTCRtpEncodingParameters of WebRTC's API).
type Layer struct {
	Name  string  `json:"rid"`
	Scale float64 `json:"scaleResolutionDownBy"` // of the camera's width and height, from 1
	Rate  int     `json:"maxBitrate"`            // bit/s
}

// Encodes are the codecs that the browser has for the pictures that it sends: VP8, H264…
func (p *Page) Encodes(ctx context.Context) (list []string, err error) {
	err = p.Eval(ctx, "[...new Set(RTCRtpSender.getCapabilities('video').codecs.map(c => c.mimeType.slice(6)))]", &list)
	return list, err
}

// Stats are the page's own statistics of the call (W3C webrtc-stats), by their ids.
func (c *Call) Stats(ctx context.Context) (all map[string]map[string]any, err error) {
	err = c.eval(ctx, &all, "return Object.fromEntries((await c.pc.getStats()).entries())")
	return all, err
}

// Camera adds a camera, WIDTHxHEIGHT, to a call that has none. It is sent after the next negotiation.
func (c *Call) Camera(ctx context.Context, size string) error {
	width, height, _ := strings.Cut(size, "x")
	return c.eval(ctx, nil, `const m = await navigator.mediaDevices.getUserMedia({video: {width: %s, height: %s, frameRate: 15}})
		c.pc.addTrack(m.getVideoTracks()[0], m)`, width, height)
}

// Turn changes the direction of a call's line of audio or video: sendrecv, inactive… It is so after the next negotiation.
func (c *Call) Turn(ctx context.Context, kind, direction string) error {
	return c.eval(ctx, nil, "c.pc.getTransceivers().find(t => t.receiver.track.kind === %s).direction = %s", quoted(kind), quoted(direction))
}

// Pause has the page send neither sound nor pictures any more.
func (c *Call) Pause(ctx context.Context) error {
	return c.eval(ctx, nil, "await Promise.all(c.pc.getSenders().map(s => s.replaceTrack(null)))")
}

// Sized is a picture that was the first of its size, or of its kind: when, in ms since 1970, as all pages of a browser have it.
type Sized struct {
	At            float64
	Width, Height int
}

// Sizes are the changes of size among the pictures that the page was shown, oldest first.
func (c *Call) Sizes(ctx context.Context) (list []Sized, err error) {
	err = c.eval(ctx, &list, "return c.picture?.sizes ?? []")
	return list, err
}

// WatchKeys has the page note the key pictures that it sends from now on.
func (c *Call) WatchKeys(ctx context.Context) error {
	return c.eval(ctx, nil, `const seen = {}
		c.keys = []
		setInterval(async () => {
			for (const s of (await c.pc.getStats()).values()) {
				if (s.type !== 'outbound-rtp' || s.kind !== 'video') continue
				if (seen[s.id] < s.keyFramesEncoded) c.keys.push({At: performance.timeOrigin + performance.now(), Width: s.frameWidth, Height: s.frameHeight})
				seen[s.id] = s.keyFramesEncoded
			}
		}, 20)`)
}

// Keys are the key pictures that the page has sent since WatchKeys, oldest first; each was there up to 100 ms before it was noted.
func (c *Call) Keys(ctx context.Context) (list []Sized, err error) {
	err = c.eval(ctx, &list, "return c.keys ?? []")
	return list, err
}
