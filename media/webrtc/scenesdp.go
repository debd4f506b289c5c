package webrtc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// extra are the lines of a description of ours that media/sdp's session refuses, which knows audio alone, and that are taken all
// the same: by index.
type extra map[int]sdp.Media

// answerScene is what an offer's lines beside audio come to. d is the deal, line whose transport they share.
func (e *Endpoint) answerScene(remote *sdp.Description, line *sdp.Media, w media.Want, d *deal) {
	if e.rich == nil || !e.serves() {
		return
	}
	s := &scene{audio: line.Kind == "audio", rich: e.rich}
	s.mid, _ = line.Attribute("mid")
	picture, data := len(e.cfg.Video) > 0, e.cfg.Data
	if before := e.agreed.Load(); before != nil && !d.anew { // the first terms decided
		n := before.deal.scene
		picture, data = picture && n != nil && n.picture != nil, data && n != nil && n.data != nil
	}
	for i := range remote.Media {
		m := &remote.Media[i]
		mid, _ := m.Attribute("mid")
		if m != line && (mid == "" || !bundled(remote, mid) || !bundled(remote, s.mid)) {
			continue
		}
		switch {
		case usablePicture(m) && s.picture == nil && picture:
			if s.picture = readPicture(m, e.cfg.Video, w.Prefer); s.picture != nil {
				s.picture.index, s.picture.direction = i, w.Direction.And(m.Direction.Reverse())
			}
		case usableData(m) && s.data == nil && data:
			s.data = &dataLine{mid, i}
		}
	}
	if s.audio && s.picture != nil && s.picture.has(extMid) {
		s.named = midOf(line)
	}
	if s.picture != nil || s.data != nil {
		d.scene = s
	}
}

// pickBeside is the first line of an offer without usable audio that we can have; nil if there is none.
func (e *Endpoint) pickBeside(offer *sdp.Description) *sdp.Media {
	for i := range offer.Media {
		m := &offer.Media[i]
		if len(e.cfg.Video) > 0 && usablePicture(m) || e.cfg.Data && usableData(m) {
			return m
		}
	}
	return nil
}

// beside is what an answer without audio comes to, if it takes another line; nil if it takes none.
func (o *offer) beside(remote *sdp.Description) *sdp.Agreement {
	if len(remote.Media) != len(o.local.Media) {
		return nil
	}
	for i := range remote.Media {
		m := &remote.Media[i]
		if ours, ok := o.extra[i]; ok && m.Kind == ours.Kind && (usablePicture(m) || usableData(m)) {
			return &sdp.Agreement{Remote: m, Direction: sdp.Inactive}
		}
	}
	return nil
}

// serves reports whether what stands behind the endpoint can carry more than audio.
func (e *Endpoint) serves() bool {
	_, ok := e.transport.(*pion)
	return ok
}

// linesOf are the lines of a scene as an answer has them.
func (e *Endpoint) linesOf(s *scene, remote *sdp.Description, w media.Want, c *credentials, setup string) extra {
	if s == nil {
		return nil
	}
	out := extra{}
	if p := s.picture; p != nil {
		m := e.pictureLine(p, c, setup)
		m.Proto = remote.Media[p.index].Proto
		if w.VideoRate > 0 {
			m.Bandwidth = []sdp.Bandwidth{{Type: "AS", Value: uint64(w.VideoRate)}}
		}
		out[p.index] = m
	}
	if l := s.data; l != nil {
		m := e.dataLine(l.mid, c, setup)
		m.Proto, m.Tokens = remote.Media[l.index].Proto, remote.Media[l.index].Tokens
		if m.Proto == protoData2 {
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: "sctpmap", Value: fmt.Sprintf("%s webrtc-datachannel 1024", first(m.Tokens))})
		}
		out[l.index] = m
	}
	return out
}

func first(list []string) string {
	if len(list) > 0 {
		return list[0]
	}
	return ""
}

// base is a line with our transport.
func (e *Endpoint) base(kind, mid string, c *credentials, setup string) sdp.Media {
	at := e.cfg.Port.main()
	return sdp.Media{Kind: kind, Port: at.Port(), Addr: at.Addr(), Proto: protos()[0], Attributes: []sdp.Attribute{
		{Key: "mid", Value: mid}, {Key: "ice-ufrag", Value: c.ufrag}, {Key: "ice-pwd", Value: c.pwd},
		{Key: "fingerprint", Value: e.ident.fingerprint}, {Key: "setup", Value: setup},
	}}
}

func (e *Endpoint) pictureLine(p *picture, c *credentials, setup string) sdp.Media {
	m := e.base("video", p.mid, c, setup)
	m.Mux, m.Direction = true, p.direction
	for _, f := range p.formats {
		m.Formats = append(m.Formats, f.Format)
	}
	m.Formats = append(m.Formats, p.rtx...)
	for _, x := range p.extensions {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "extmap", Value: fmt.Sprintf("%d %s", x.id, x.uri)})
	}
	for _, f := range p.formats {
		for _, what := range p.feedback[f.PT] {
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: "rtcp-fb", Value: fmt.Sprintf("%d %s", f.PT, what)})
		}
	}
	out := &e.rich.out
	m.Attributes = append(m.Attributes, sdp.Attribute{Key: "msid", Value: e.stream + " video"})
	if len(p.rtx) > 0 {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "ssrc-group", Value: fmt.Sprintf("FID %d %d", out.SSRC, out.beside)})
	}
	m.Attributes = append(m.Attributes, sdp.Attribute{Key: "ssrc", Value: fmt.Sprintf("%d cname:%s", out.SSRC, e.control.Name)})
	if len(p.rtx) > 0 {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "ssrc", Value: fmt.Sprintf("%d cname:%s", out.beside, e.control.Name)})
	}
	for _, name := range p.layers {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "rid", Value: name + " recv"})
	}
	if len(p.layers) > 0 {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "simulcast", Value: "recv " + strings.Join(p.layers, ";")})
	}
	return m
}

func (e *Endpoint) dataLine(mid string, c *credentials, setup string) sdp.Media {
	m := e.base("application", mid, c, setup)
	m.Proto, m.Tokens = protoData, []string{"webrtc-datachannel"}
	m.Attributes = append(m.Attributes, sdp.Attribute{Key: "sctp-port", Value: fmt.Sprint(dataPort)}, sdp.Attribute{Key: "max-message-size", Value: fmt.Sprint(dataMax)})
	return m
}

// offerScene is what we offer beside audio, for lines that local has refused from the start; once there is an agreement, what
// that has, under the names and numbers that it has there (RFC 3264 8.3.2, RFC 9143 9.3).
func (e *Endpoint) offerScene(local *sdp.Description, w media.Want, c *credentials) extra {
	if e.rich == nil || !e.serves() {
		return nil
	}
	if before := e.agreed.Load(); before != nil {
		return e.offerAgain(before.deal.scene, local, w, c)
	}
	out := extra{}
	for i := range local.Media {
		switch kind := local.Media[i].Kind; {
		case kind == "video" && w.Video && len(e.cfg.Video) > 0 && !out.has("video"):
			p := &picture{mid: "video", direction: w.Direction, feedback: map[uint8][]string{}}
			free := freeTypes(local)
			for _, f := range preferred(e.cfg.Video, w.Prefer) {
				if len(free) < 2 {
					break
				}
				pt, beside := free[0], free[1]
				free = free[2:]
				p.formats = append(p.formats, sdp.Pair{Format: sdp.Format{PT: pt, Codec: f.Codec, Clock: f.Clock, Channels: 1, Fmtp: f.Params}})
				p.rtx = append(p.rtx, sdp.Format{PT: beside, Codec: "RTX", Clock: f.Clock, Channels: 1, Fmtp: fmt.Sprintf("apt=%d", pt)})
				p.feedback[pt] = feedbacks()
			}
			for n, uri := range extensions()[:2] {
				p.extensions = append(p.extensions, extension{n + 1, uri})
			}
			out[i] = e.pictureLine(p, c, "actpass")
			if m := out[i]; w.VideoRate > 0 {
				m.Bandwidth = []sdp.Bandwidth{{Type: "AS", Value: uint64(w.VideoRate)}}
				out[i] = m
			}
		case kind == "application" && e.cfg.Data && !out.has("application"):
			out[i] = e.dataLine("data", c, "actpass")
		}
	}
	return out
}

func (e *Endpoint) offerAgain(s *scene, local *sdp.Description, w media.Want, c *credentials) extra {
	out := extra{}
	if s == nil {
		return out
	}
	has := func(i int, kind string) bool { return i < len(local.Media) && local.Media[i].Kind == kind }
	if s.picture != nil && has(s.picture.index, "video") {
		p := *s.picture
		if p.direction = w.Direction; !w.Video {
			p.direction = sdp.Inactive
		}
		m := e.pictureLine(&p, c, "actpass")
		if w.VideoRate > 0 {
			m.Bandwidth = []sdp.Bandwidth{{Type: "AS", Value: uint64(w.VideoRate)}}
		}
		out[p.index] = m
	}
	if s.data != nil && has(s.data.index, "application") {
		out[s.data.index] = e.dataLine(s.data.mid, c, "actpass")
	}
	return out
}

// freeTypes are dynamic payload types that no line of audio has: one transport has one meaning for each (RFC 9143 9.1).
func freeTypes(d *sdp.Description) (out []uint8) {
	var taken [128]bool
	for i := range d.Media {
		for _, f := range d.Media[i].Formats {
			taken[f.PT&127] = true
		}
	}
	for _, from := range [...][2]uint8{{102, 128}, {35, 64}} {
		for pt := from[0]; pt < from[1]; pt++ {
			if !taken[pt] {
				out = append(out, pt)
			}
		}
	}
	return out
}

// preferred is a list with those first that are preferred.
func preferred(own, prefer []*media.Format) (out []*media.Format) {
	for _, list := range [][]*media.Format{prefer, own} {
		for _, f := range list {
			if slices.ContainsFunc(own, f.Same) && !slices.ContainsFunc(out, f.Same) {
				out = append(out, f)
			}
		}
	}
	return out
}

func (x extra) has(kind string) bool {
	for _, m := range x {
		if m.Kind == kind {
			return true
		}
	}
	return false
}

// agreeScene is what an answer to an offer with these lines comes to.
func (e *Endpoint) agreeScene(x extra, remote *sdp.Description, d *deal) {
	if len(x) == 0 || e.rich == nil {
		return
	}
	s := &scene{mid: e.mid, rich: e.rich}
	for i, ours := range x {
		if i >= len(remote.Media) {
			continue
		}
		m := &remote.Media[i]
		mid, _ := ours.Attribute("mid")
		switch {
		case ours.Kind == "video" && usablePicture(m):
			var list []*media.Format
			for _, f := range ours.Formats {
				if f.Codec != "RTX" { // is beside
					list = append(list, media.VideoFormat(f.Codec, f.Params()))
				}
			}
			if p := readPicture(m, list, nil); p != nil {
				p.mid, p.index, p.direction = mid, i, ours.Direction.And(m.Direction.Reverse())
				s.picture = p
			}
		case ours.Kind == "application" && usableData(m):
			s.data = &dataLine{mid, i}
		}
	}
	if m := remote.Audio(); m != nil && s.picture != nil && s.picture.has(extMid) {
		s.named = midOf(m)
	}
	if s.picture != nil || s.data != nil {
		d.scene = s
	}
}

// overlay puts the lines where they belong, and candidates on the first line in use.
func (e *Endpoint) overlay(d *sdp.Description, x extra, c *credentials) (mids []string) {
	d.Media = slices.Clone(d.Media)
	for i, m := range x {
		if i < len(d.Media) {
			d.Media[i] = m
		}
	}
	for i := range d.Media {
		m := &d.Media[i]
		if m.Port == 0 {
			continue
		}
		if len(mids) == 0 {
			m.Attributes = append(slices.Clone(m.Attributes), e.candidates(c)...)
		}
		if mid, ok := m.Attribute("mid"); ok {
			mids = append(mids, mid)
		}
	}
	return mids
}
