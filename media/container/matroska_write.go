package container

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/patchbay/patchbay/media"
)

// MatroskaWriter is a Writer of Matroska or WebM. Clusters are written whole, with their sizes, one a second; the segment's size is unknown
// until the end, and its duration what has been written so far, so that a file whose writer died is played like another.
type MatroskaWriter struct {
	out      Output
	tracks   []Track
	segment  int64 // where the segment's data begin
	duration int64 // where its eight bytes stand
	seek     int64 // where room for an index of the file is left

	cluster []byte
	base    int64 // ms
	lead    int   // the track that an index names for the cluster; -1 = it isn't in one
	end     time.Duration
	cues    []cue
	info    int64
	list    int64 // where the tracks stand, and room for more of them
}

// cue is a place to begin at: ms, from the segment's data on.
type cue struct {
	at, place int64
	track     int
}

const (
	clusterTime = time.Second
	clusterSize = 1 << 20
	seekRoom    = 96
	tracksRoom  = 1 << 10
)

// NewMatroska begins a file: WebM if it says so, else Matroska. Units' data of audio are as Tracks' formats have them in RTP, of video as
// video.Unpacker makes them. A track without a format isn't in the file until it is described.
func NewMatroska(out Output, webm bool, tracks []Track) (*MatroskaWriter, error) {
	w := &MatroskaWriter{out: out, tracks: slices.Clone(tracks)}
	doc := "matroska"
	if webm {
		doc = "webm"
	}
	var head []byte
	for _, e := range [...]struct {
		id uint32
		v  int64
	}{{0x4286, 1}, {0x42F7, 1}, {0x42F2, 4}, {0x42F3, 8}} {
		head = putNumber(head, e.id, e.v)
	}
	head = putText(head, idDocType, doc)
	head = putNumber(putNumber(head, 0x4287, 4), 0x4285, 2)
	b := put(nil, idEBML, head)
	b = putHead(b, idSegment, unknownSize)
	w.segment = int64(len(b))
	w.seek = int64(len(b))
	b = put(b, idVoid, make([]byte, seekRoom-2))
	w.info = int64(len(b)) - w.segment
	info := putNumber(nil, idScale, int64(time.Millisecond))
	info = putText(info, idMuxingApp, "Patchbay")
	info = putText(info, idWritingApp, "Patchbay")
	info = putDecimal(info, idDuration, 0)
	b = put(b, idInfo, info)
	w.duration = int64(len(b)) - 8
	w.list = int64(len(b)) - w.segment
	list, err := trackList(tracks)
	if err != nil {
		return nil, err
	}
	_, err = out.Write(append(b, list...))
	return w, err
}

// trackList is the element of all tracks, with room behind it.
func trackList(tracks []Track) ([]byte, error) {
	var list []byte
	for i, t := range tracks {
		if t.Format == nil {
			continue
		}
		entry, err := trackEntry(i+1, t)
		if err != nil {
			return nil, err
		}
		list = put(list, idTrackEntry, entry)
	}
	b := put(nil, idTracks, list)
	room := tracksRoom - len(b) - 3
	if room < 1<<7 { // so that the size of what is empty has two bytes
		return nil, wrongCodec("tracks of %d bytes in Matroska", len(b))
	}
	return append(putHead(b, idVoid, int64(room)), make([]byte, room)...), nil
}

// Describe says what a track has, before its first unit.
func (w *MatroskaWriter) Describe(i int, t Track) error {
	w.tracks[i] = t
	list, err := trackList(w.tracks)
	if err == nil {
		_, err = w.out.WriteAt(list, w.segment+w.list)
	}
	return err
}

func trackEntry(no int, t Track) ([]byte, error) {
	b := putNumber(nil, idTrackNumber, int64(no))
	b = putNumber(b, idTrackUID, int64(no))
	b = putNumber(b, idLacing, 0)
	if t.Format.Kind == media.Video {
		b = putNumber(b, idTrackType, 1)
		b = put(b, idVideo, putNumber(putNumber(nil, idWidth, int64(max(t.Width, 1))), idHeight, int64(max(t.Height, 1))))
	} else {
		b = putNumber(b, idTrackType, 2)
	}
	setup := t.Setup
	audio := func(rate, channels int) {
		b = put(b, idAudio, putNumber(putDecimal(nil, idRate, float64(rate)), idChannels, int64(channels)))
	}
	switch t.Format.Codec {
	case "OPUS":
		const skip = 312 // samples that an encoder is ahead of its input
		setup = append([]byte("OpusHead\x01\x02"), byte(skip&0xff), byte(skip>>8), 0x80, 0xbb, 0, 0, 0, 0, 0)
		b = putText(b, idCodecID, "A_OPUS")
		b = putNumber(putNumber(b, idCodecDelay, skip*int64(time.Second)/opusClock), idSeekPreRoll, int64(80*time.Millisecond))
		audio(opusClock, 2)
	case "PCMU", "PCMA":
		tag := uint16(wavMuLaw)
		if t.Format.Codec == "PCMA" {
			tag = wavALaw
		}
		le := binary.LittleEndian
		setup = le.AppendUint16(le.AppendUint16(nil, tag), 1)
		setup = le.AppendUint32(le.AppendUint32(setup, 8000), 8000)
		setup = le.AppendUint16(le.AppendUint16(le.AppendUint16(setup, 1), 8), 0)
		b = putText(b, idCodecID, "A_MS/ACM")
		audio(8000, 1)
	case "VP8", "VP9":
		b = putText(b, idCodecID, "V_"+t.Format.Codec)
	case "AV1":
		b = putText(b, idCodecID, "V_AV1")
	case "H264":
		b = putText(b, idCodecID, "V_MPEG4/ISO/AVC")
	case "H265":
		b = putText(b, idCodecID, "V_MPEGH/ISO/HEVC")
	default:
		return nil, wrongCodec("%s in Matroska", t.Format)
	}
	if setup != nil {
		b = put(b, idCodecSetup, setup)
	}
	return b, nil
}

// pictures reports whether the file has video.
func (w *MatroskaWriter) pictures() bool {
	return slices.ContainsFunc(w.tracks, func(t Track) bool { return t.Format != nil && t.Format.Kind == media.Video })
}

// Write adds a unit to the cluster; a key picture begins one.
func (w *MatroskaWriter) Write(u *Unit) error {
	ms := int64((u.At + time.Millisecond/2) / time.Millisecond)
	begins := u.Key && w.tracks[u.Track].Format != nil && w.tracks[u.Track].Format.Kind == media.Video
	if w.cluster != nil && (begins || ms-w.base >= int64(clusterTime/time.Millisecond) || ms < w.base || len(w.cluster) > clusterSize) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if w.cluster == nil {
		w.base, w.lead = ms, u.Track
		if !begins && w.pictures() {
			w.lead = -1
		}
		w.cluster = putNumber(make([]byte, 0, 8<<10), idTimestamp, ms)
	}
	w.cluster = putHead(w.cluster, idSimpleBlock, int64(4+len(u.Data)))
	flags := byte(0)
	if u.Key {
		flags = 0x80
	}
	w.cluster = append(w.cluster, 0x80|byte(u.Track+1), byte((ms-w.base)>>8), byte(ms-w.base), flags)
	w.cluster = append(w.cluster, u.Data...)
	w.end = max(w.end, u.At+u.For)
	return nil
}

// Flush writes the cluster, and how long the file is.
func (w *MatroskaWriter) Flush() error {
	if w.cluster != nil {
		if w.lead >= 0 {
			w.cues = append(w.cues, cue{w.base, w.out.Size() - w.segment, w.lead})
		}
		b := put(make([]byte, 0, len(w.cluster)+12), idCluster, w.cluster)
		w.cluster = nil
		if _, err := w.out.Write(b); err != nil {
			return err
		}
	}
	_, err := w.out.WriteAt(binary.BigEndian.AppendUint64(nil, math.Float64bits(w.end.Seconds()*1000)), w.duration)
	return err
}

// Close adds the index by time, and says where all is.
func (w *MatroskaWriter) Close() error {
	if err := w.Flush(); err != nil {
		return err
	}
	index := w.out.Size() - w.segment
	var cues []byte
	for _, c := range w.cues {
		place := putNumber(putNumber(nil, idCueTrack, int64(c.track+1)), idCueCluster, c.place)
		cues = put(cues, idCuePoint, put(putNumber(nil, idCueTime, c.at), idCuePlaces, place))
	}
	if cues != nil {
		if _, err := w.out.Write(put(nil, idCues, cues)); err != nil {
			return err
		}
	}
	var seek []byte
	for _, e := range [...]struct {
		id    uint32
		place int64
	}{{idInfo, w.info}, {idTracks, w.list}, {idCues, index}} {
		if e.id != idCues || cues != nil {
			seek = put(seek, 0x4DBB, putNumber(put(nil, 0x53AB, binary.BigEndian.AppendUint32(nil, e.id)), 0x53AC, e.place))
		}
	}
	seek = put(nil, idSeekHead, seek)
	seek = put(seek, idVoid, make([]byte, seekRoom-len(seek)-2))
	if _, err := w.out.WriteAt(seek, w.seek); err != nil {
		return err
	}
	size := binary.BigEndian.AppendUint64(nil, uint64(w.out.Size()-w.segment)|1<<56)
	_, err := w.out.WriteAt(size, w.segment-8)
	return err
}
