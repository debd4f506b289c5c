package container

// describe is the description of all tracks: of a file in fragments, or with the index of a plain one.
func (w *MP4Writer) describe(plain bool) (b []byte, err error) {
	length := ticks(w.end, fileScale)
	b = box(nil, "moov", func(b []byte) []byte {
		b = full(b, "mvhd", 1, 0, func(b []byte) []byte {
			b = be32(append(b, make([]byte, 2*epoch)...), fileScale)
			if plain {
				b = be64(b, length)
			} else {
				b = be64(b, 0)
			}
			b = be32(b, 0x00010000, 0x01000000, 0, 0) // speed and loudness
			b = matrix(b)
			return be32(b, 0, 0, 0, 0, 0, 0, uint32(len(w.tracks)+1))
		})
		for i, t := range w.tracks {
			if t.Format == nil || plain && t.index.units == 0 {
				continue
			}
			b = box(b, "trak", func(b []byte) []byte {
				b, err = t.track(b, uint32(i+1), plain)
				return b
			})
			if err != nil {
				return b
			}
		}
		if plain {
			return b
		}
		return box(b, "mvex", func(b []byte) []byte {
			b = full(b, "mehd", 1, 0, func(b []byte) []byte {
				w.length = w.moov + int64(len(b))
				return be64(b, length)
			})
			for i, t := range w.tracks {
				if t.Format != nil {
					b = full(b, "trex", 0, 0, func(b []byte) []byte { return be32(b, uint32(i+1), 1, 0, 0, needsNone) })
				}
			}
			return b
		})
	})
	return b, err
}

// matrix says that pictures are shown as they are.
func matrix(b []byte) []byte { return be32(b, 0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000) }

// track is the description of one.
func (t *mp4Out) track(b []byte, id uint32, plain bool) (out []byte, err error) {
	x := &t.index
	long, begin := x.total-x.first, x.first*fileScale/t.scale
	b = full(b, "tkhd", 1, 3, func(b []byte) []byte {
		b = be32(append(b, make([]byte, 2*epoch)...), id, 0)
		if plain {
			b = be64(b, begin+long*fileScale/t.scale)
		} else {
			b = be64(b, 0)
		}
		if t.pictures() {
			b = matrix(be32(b, 0, 0, 0, 0))
		} else {
			b = matrix(be32(b, 0, 0, 1, 0x01000000))
		}
		return be32(b, uint32(t.Width)<<16, uint32(t.Height)<<16)
	})
	if plain && begin > 0 {
		b = box(b, "edts", func(b []byte) []byte {
			return full(b, "elst", 1, 0, func(b []byte) []byte {
				b = be32(be64(be64(be32(b, 2), begin), -1), 0x00010000)
				return be32(be64(be64(b, long*fileScale/t.scale), 0), 0x00010000)
			})
		})
	}
	b = box(b, "mdia", func(b []byte) []byte {
		b = full(b, "mdhd", 1, 0, func(b []byte) []byte {
			b = be32(append(b, make([]byte, 2*epoch)...), uint32(t.scale))
			if !plain {
				long = 0
			}
			return be16(be64(b, long), 0x55c4, 0) // no language
		})
		kind, name := "soun", "Sound"
		if t.pictures() {
			kind, name = "vide", "Video"
		}
		b = full(b, "hdlr", 0, 0, func(b []byte) []byte {
			return append(be32(append(be32(b, 0), kind...), 0, 0, 0), name+"\x00"...)
		})
		return box(b, "minf", func(b []byte) []byte {
			b, err = t.inside(b, plain)
			return b
		})
	})
	return b, err
}

// inside is what a track has, and its index.
func (t *mp4Out) inside(b []byte, plain bool) (out []byte, err error) {
	if t.pictures() {
		b = full(b, "vmhd", 0, 1, func(b []byte) []byte { return be32(b, 0, 0) })
	} else {
		b = full(b, "smhd", 0, 0, func(b []byte) []byte { return be32(b, 0) })
	}
	b = box(b, "dinf", func(b []byte) []byte {
		return full(b, "dref", 0, 0, func(b []byte) []byte {
			return full(be32(b, 1), "url ", 0, 1, func(b []byte) []byte { return b })
		})
	})
	b = box(b, "stbl", func(b []byte) []byte {
		b = full(b, "stsd", 0, 0, func(b []byte) []byte {
			b, err = t.sample(be32(b, 1))
			return b
		})
		x := &t.index
		if !plain {
			x = &mp4Index{}
		}
		return x.tables(b, t.pictures())
	})
	return b, err
}

// sample is a sample entry.
func (t *mp4Out) sample(b []byte) ([]byte, error) {
	picture := func(kind, setup string, config []byte) []byte {
		return box(b, kind, func(b []byte) []byte {
			b = be16(b, 0, 0, 0, 1)
			b = be32(b, 0, 0, 0, 0)
			b = be16(b, uint16(t.Width), uint16(t.Height))
			b = be32(b, 72<<16, 72<<16, 0)
			b = append(be16(b, 1), make([]byte, 32)...)
			b = be16(b, 24, 0xffff)
			return box(b, setup, func(b []byte) []byte { return append(b, config...) })
		})
	}
	switch codec := t.Format.Codec; {
	case codec == "H264" && t.Setup != nil:
		return picture("avc1", "avcC", t.Setup), nil
	case codec == "H265" && t.Setup != nil:
		return picture("hvc1", "hvcC", t.Setup), nil
	case codec == "AV1" && t.Setup != nil:
		return picture("av01", "av1C", t.Setup), nil
	case codec == "VP9":
		return picture("vp09", "vpcC", t.vp9()), nil
	case codec == "OPUS":
		return box(b, "Opus", func(b []byte) []byte {
			b = be16(b, 0, 0, 0, 1, 0, 0, 0, 0, 2, 16, 0, 0)
			b = be32(b, opusClock<<16)
			return box(b, "dOps", func(b []byte) []byte {
				const skip = 312 // samples that an encoder is ahead of its input
				b = be32(be16(append(b, 0, 2), skip), opusClock)
				return append(be16(b, 0), 0)
			})
		}), nil
	}
	return b, wrongCodec("%s in MP4", t.Format)
}

// vp9 is what a decoder of VP9 is to expect (VP Codec ISO Media File Format Binding): profile 0, which peers are offered, of a size.
func (t *mp4Out) vp9() []byte {
	level := byte(62)
	for _, l := range [...]struct {
		level  byte
		pixels int
	}{{10, 36864}, {11, 73728}, {20, 122880}, {21, 245760}, {30, 552960}, {31, 983040}, {40, 2228224}, {50, 8912896}, {60, 35651584}} {
		if t.Width*t.Height <= l.pixels {
			level = l.level
			break
		}
	}
	const profile, depth, colours, unspecified = 0, 8, 1, 2
	return be16(append(be32(nil, 1<<24), profile, level, depth<<4|colours<<1, unspecified, unspecified, unspecified), 0)
}
