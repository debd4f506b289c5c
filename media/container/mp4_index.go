package container

// mp4Index is what the index of a file will say of a track: about 4 bytes for a unit of sound, 12 for a picture.
type mp4Index struct {
	units              uint32
	first, last, total int64 // time of the first unit's decoding, of the last one's, and where that ends
	sizes              []byte
	durations, offsets rows
	shuffled           bool // there are offsets other than 0
	keys               []byte
	places             []byte
	chunks             []byte
	each               uint32 // units in the last chunk
}

// rows are those of a table in which a value that comes again and again stands once.
type rows struct {
	b            []byte
	count, value uint32
}

func (r *rows) add(v uint32) {
	if r.count > 0 && r.value != v {
		r.flush()
	}
	r.value = v
	r.count++
}

func (r *rows) flush() {
	if r.count > 0 {
		r.b = be32(r.b, r.count, r.value)
		r.count = 0
	}
}

// add adds units that stand one behind the other at a place.
func (x *mp4Index) add(list []mp4Waiting, place int64) {
	for _, s := range list {
		if x.units == 0 {
			x.first = s.time
		} else {
			x.durations.add(uint32(s.time - x.last))
		}
		x.units++
		x.last, x.total = s.time, s.time+max(s.length, 1)
		x.sizes = be32(x.sizes, uint32(s.size))
		x.offsets.add(uint32(s.offset))
		x.shuffled = x.shuffled || s.offset != 0
		if s.key {
			x.keys = be32(x.keys, x.units)
		}
	}
	x.places = be64(x.places, place)
	if n := uint32(len(list)); n != x.each {
		x.each = n
		x.chunks = be32(x.chunks, uint32(len(x.places)/8), n, 1)
	}
}

// tables appends the tables.
func (x *mp4Index) tables(b []byte, pictures bool) []byte {
	if x.units > 0 {
		x.durations.add(uint32(x.total - x.last))
	}
	x.durations.flush()
	x.offsets.flush()
	counted := func(kind string, version byte, rows []byte, width int) {
		b = full(b, kind, version, 0, func(b []byte) []byte { return append(be32(b, uint32(len(rows)/width)), rows...) })
	}
	counted("stts", 0, x.durations.b, 8)
	if x.shuffled {
		counted("ctts", 1, x.offsets.b, 8)
	}
	if pictures && x.units > 0 {
		counted("stss", 0, x.keys, 4)
	}
	counted("stsc", 0, x.chunks, 12)
	b = full(b, "stsz", 0, 0, func(b []byte) []byte { return append(be32(b, 0, x.units), x.sizes...) })
	counted("co64", 0, x.places, 8)
	return b
}
