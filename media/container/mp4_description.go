package container

import (
	"encoding/binary"
	"fmt"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// readTrack reads the description of a track: what it has, and where the tables of its index are.
func (m *mp4) readTrack(t *mp4Track, in mp4Box) error {
	return m.c.boxes(in, func(b mp4Box) (err error) {
		if holds(in, b) {
			return m.readTrack(t, b)
		}
		switch string(b.kind[:]) {
		case "tkhd":
			var id int64
			id, _, err = m.times(b)
			t.id = uint32(id)
		case "mdhd":
			t.scale, _, err = m.times(b)
		case "hdlr":
			var p []byte
			if p, err = m.c.body(b, 12, maxBox); err == nil && t.kind == "" { // QuickTime has another one, for data
				t.kind = string(p[8:12])
			}
		case "elst":
			err = m.edits(t, b)
		case "stsd":
			var p []byte
			if p, err = m.c.body(b, 8, maxBox); err == nil {
				t.describe(p[8:])
			}
		case "stts":
			t.durations, err = m.c.newTable(b, 8, 8)
		case "ctts":
			t.offsets, err = m.c.newTable(b, 8, 8)
		case "stsc":
			t.chunks, err = m.c.newTable(b, 8, 12)
		case "stss":
			t.keys, err = m.c.newTable(b, 8, 4)
		case "stco":
			t.places, err = m.c.newTable(b, 8, 4)
		case "co64":
			t.places, err = m.c.newTable(b, 8, 8)
		case "stsz":
			err = m.unitSizes(t, b)
		}
		return err
	})
}

// holds reports whether a box in another one has others that are read. Each stands in its place alone: a file whose boxes are nested without
// end would have the stack grow without end.
func holds(in, b mp4Box) bool {
	switch {
	case in.is("trak"):
		return b.is("edts") || b.is("mdia")
	case in.is("mdia"):
		return b.is("minf")
	}
	return in.is("minf") && b.is("stbl")
}

// unitSizes reads the table of sizes, or that all are the same.
func (m *mp4) unitSizes(t *mp4Track, b mp4Box) (err error) {
	if t.sizes, err = m.c.newTable(b, 12, 4); err != nil {
		return err
	}
	p, err := m.c.peek(12)
	if err != nil {
		return err
	}
	if t.count = t.sizes.rows; column(p, 1) != 0 {
		t.fixed, t.count = column(p, 1), column(p, 2)
	}
	return nil
}

// edits reads an edit list: how long nothing comes, and where in the track it begins.
func (m *mp4) edits(t *mp4Track, b mp4Box) error {
	const most = 1 << 50
	p, err := m.c.body(b, 8, maxBox)
	if err != nil {
		return err
	}
	version, width := p[0], 12
	if version != 0 {
		width = 20
	}
	for p = p[8:]; len(p) >= width; p = p[width:] {
		length, rest := wide(p, version)
		begin := int64(int32(binary.BigEndian.Uint32(rest)))
		if version != 0 {
			begin = int64(binary.BigEndian.Uint64(rest))
		}
		if begin >= 0 {
			t.skip = min(begin, most)
			return nil
		}
		t.empty = min(t.empty+min(length, most), most)
	}
	return nil
}

// describe reads the first sample entry (ISO/IEC 14496-12 8.5.2).
func (t *mp4Track) describe(b []byte) {
	if len(b) < 8 {
		return
	}
	n := min(int64(len(b)), int64(binary.BigEndian.Uint32(b)))
	kind := string(b[4:8])
	t.Name = mp4Name(kind)
	const video, audio = 78, 28
	head := audio
	if t.kind == "vide" {
		head = video
	}
	if n < int64(8+head) {
		return
	}
	b = b[8:n]
	channels := int(binary.BigEndian.Uint16(b[16:]))
	if t.kind == "vide" {
		t.Width, t.Height = int(binary.BigEndian.Uint16(b[24:])), int(binary.BigEndian.Uint16(b[26:]))
	} else if version := b[9]; version == 1 && len(b) >= head+16 { // QuickTime's
		head += 16
	}
	inner(b[head:], func(box string, data []byte) {
		switch {
		case box == "avcC" || box == "hvcC" || box == "av1C":
			t.Setup = append([]byte(nil), data...)
		case box == "esds" && kind == "mp4a":
			t.Name = mp4aName(data)
		case box == "dOps" && len(data) >= 2:
			channels = int(data[1])
		}
	})
	switch t.Format = mp4Format(kind, t.Setup, channels); {
	case t.Format != nil && (t.Format.Kind == media.Video) != (t.kind == "vide"):
		t.Format = nil
	}
}

// mp4Format is how a track's units travel in RTP, nil if nobody knows.
func mp4Format(kind string, setup []byte, channels int) *media.Format {
	switch kind {
	case "avc1", "avc3":
		return avcFormat(setup)
	case "hvc1", "hev1":
		return media.VideoFormat("H265", "")
	case "av01":
		return media.VideoFormat("AV1", "")
	case "vp08":
		return media.VideoFormat("VP8", "")
	case "vp09":
		return media.VideoFormat("VP9", "")
	case "Opus":
		if channels <= 2 {
			return opusFormat()
		}
	}
	return nil
}

// avcFormat is that of H264 with this setup (AVCDecoderConfigurationRecord), nil if that isn't one.
func avcFormat(setup []byte) *media.Format {
	if len(setup) < 7 {
		return nil
	}
	f := sdp.Format{Codec: "H264", Fmtp: fmt.Sprintf("packetization-mode=1;profile-level-id=%x", setup[1:4])}
	return media.VideoFormat("H264", f.Params())
}

// mp4Name is what people call a codec.
func mp4Name(kind string) string {
	name := map[string]string{"avc1": "H264", "avc3": "H264", "hvc1": "H265", "hev1": "H265", "vp08": "VP8", "vp09": "VP9", "av01": "AV1", "Opus": "Opus",
		"mp4v": "MPEG-4 Visual", "mp4a": "AAC", "ac-3": "AC-3", "ec-3": "E-AC-3", "fLaC": "FLAC", "alac": "ALAC", "enca": "encrypted", "encv": "encrypted",
		"samr": "AMR", "sawb": "AMR-WB", "s263": "H263", ".mp3": "MP3"}[kind]
	if name == "" {
		return kind
	}
	return name + " (" + kind + ")"
}

// mp4aName looks into the descriptor of what is called mp4a, which may be several codecs (ISO/IEC 14496-1 7.2.6).
func mp4aName(d []byte) string {
	skip := func(n int) bool {
		ok := len(d) >= n
		d = d[min(n, len(d)):]
		return ok
	}
	open := func(tag byte) bool { // a descriptor's tag, and its size of 7 bits a byte
		if len(d) == 0 || d[0] != tag {
			return false
		}
		for skip(1); len(d) > 0 && d[0]&0x80 != 0; {
			skip(1)
		}
		return skip(1)
	}
	if !skip(4) || !open(3) || !skip(3) || !open(4) || len(d) == 0 {
		return mp4Name("mp4a")
	}
	switch d[0] {
	case 0x69, 0x6b:
		return "MP3 (mp4a)"
	case 0xad:
		return "Opus (mp4a)"
	}
	return mp4Name("mp4a")
}
