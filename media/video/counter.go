package video

import "github.com/patchbay/patchbay/media"

// Counter counts the pictures of one stream, and knows their size. The zero value is ready; whoever has it guards it.
type Counter struct {
	pictures, keys uint64
	width, height  int
	since          int64   // when the current second began
	before         uint64  // pictures before it
	rate           float64 // pictures a second, in the one before
	ended, began   uint32  // timestamps of the picture that ended last, and of the key picture that began last
	format         *media.Format
	measure        func([]byte) (int, int)
}

// Count takes a frame as it passes, at now (ns); Frame.Key says whether it begins a key picture. It may be called on the packet path.
func (c *Counter) Count(f *media.Frame, now int64) {
	if f.Marker && (c.pictures == 0 || c.ended != f.Timestamp) {
		c.pictures, c.ended = c.pictures+1, f.Timestamp
		if d := now - c.since; c.pictures == 1 || d >= 2*second {
			c.since, c.before, c.rate = now, c.pictures, 0
		} else if d >= second {
			c.since, c.before, c.rate = now, c.pictures, float64(c.pictures-c.before)*second/float64(d)
		}
	}
	if !f.Key {
		return
	}
	if c.keys == 0 || c.began != f.Timestamp { // several packets may look like the first of one
		c.keys, c.began = c.keys+1, f.Timestamp
	}
	if c.format != f.Format {
		c.format, c.measure = f.Format, Measure(f.Format.Codec)
	}
	if c.measure == nil {
		return
	}
	if w, h := c.measure(f.Payload); w > 0 && h > 0 {
		c.width, c.height = w, h
	}
}

const second = 1_000_000_000 // ns

// Tell fills in what a stream's statistics say of pictures, at now (ns).
func (c *Counter) Tell(s *media.Stream, now int64) {
	s.Pictures, s.Keys, s.Width, s.Height = c.pictures, c.keys, c.width, c.height
	if s.PictureRate = c.rate; now-c.since >= 2*second {
		s.PictureRate = 0
	}
}
