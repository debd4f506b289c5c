package rtsp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	psdp "github.com/pion/sdp/v3"

	"github.com/patchbay/patchbay/media/container"
)

// What comes before the server's word is part of what it plays then; what it had sent before isn't; tracks stand where it says they begin.
func TestMoves(t *testing.T) {
	for name, c := range map[string]struct {
		sound, picture *start
		want           []string
	}{
		"told":      {&start{100, 8000, 0}, &start{200, 90000, 0}, []string{"1 5000 3 key", "0 5020 0", "0 5040 0", "1 5100 2"}},
		"not told":  {nil, nil, []string{"1 5000 3 key", "0 5030 0", "0 5050 0", "1 5100 2"}},
		"told lies": {&start{100, 1 << 31, 0}, &start{200, 1 << 30, 0}, []string{"1 5000 3 key", "0 5030 0", "0 5050 0", "1 5100 2"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, sound, picture := newRing(t, time.Hour)
			come(r, picture, "198 1000 I.")
			come(r, sound, "98 1000 s")
			r.move()
			come(r, picture, "200 90000 I.")
			time.Sleep(30 * time.Millisecond)
			come(r, sound, "100 8160 s")
			time.Sleep(5 * time.Second) // the word is late
			for _, s := range []*start{c.sound, c.picture} {
				if s != nil {
					s.at = 5 * time.Second
				}
			}
			r.moved(5*time.Second, []*start{c.sound, c.picture})
			come(r, sound, "101 8320 s")
			come(r, picture, "201 99000 P", "202 99000 P.")
			if list := got(r); !slices.Equal(list, c.want) {
				t.Errorf("%s: %q, want %q", name, list, c.want)
			}
			if c.sound == nil {
				return
			}
			r.move()
			r.moved(0, []*start{{300, 0, 0}})
			come(r, sound, "102 8480 s", "299 8000 s", "300 0 s")
			if list := got(r); len(list) != 1 {
				t.Errorf("%s: what was sent before comes late: %q", name, list)
			}
		})
	}
}

// What comes before the server's word is bounded.
func TestEarly(t *testing.T) {
	r, sound, _ := newRing(t, time.Hour)
	r.move()
	for i := range 2 * mostEarly {
		r.packet(sound, &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i)}, Payload: make([]byte, 60000)}, time.Now(), false)
	}
	if len(r.early) > mostEarly || r.many > largeEarly {
		t.Errorf("%d packets of %d bytes are kept", len(r.early), r.many)
	}
	r.end(nil)
}

// A server is asked for a key picture when what comes can't be shown, once a second at most; one of a file never.
func TestAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, picture := newRing(t, time.Hour)
		asked := func(sequence int, kind byte) bool {
			p := rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(sequence), Timestamp: uint32(sequence) * 3000, Marker: true, SSRC: 5}, Payload: []byte{kind, 0}}
			return r.packet(picture, &p, time.Now(), false)
		}
		if !asked(1, 0x41) || asked(2, 0x41) || picture.source != 5 {
			t.Error("amid it: it must ask, once")
		}
		time.Sleep(time.Second)
		if !asked(3, 0x41) || asked(4, 0x65) || asked(5, 0x41) {
			t.Error("it must ask again, up to the key picture")
		}
		if r.wish(time.Now()) != nil {
			t.Error("somebody else's wish comes too soon")
		}
		time.Sleep(time.Second)
		if r.wish(time.Now()) != picture || r.wish(time.Now()) != nil {
			t.Error("a wish must be asked for, once")
		}
		time.Sleep(time.Second)
		if !asked(7, 0x41) {
			t.Error("after a loss it must ask")
		}
		time.Sleep(time.Second)
		r.duration = time.Hour
		if asked(9, 0x41) || r.wish(time.Now()) != nil {
			t.Error("a file is asked")
		}
	})
}

func TestLength(t *testing.T) {
	for line, want := range map[string]string{
		"a=range:npt=0-12.5": "0s 12.5s", "a=range:npt=1.5-00:01:02": "1.5s 1m0.5s", "a=range:npt=now-": "0s 0s", "a=range:npt=now-3": "0s 3s", "a=range:npt=0-": "0s 0s", "a=range:npt=5-5": "0s 0s",
		"a=range:npt=9-5": "0s 0s", "a=range: npt=0-3": "0s 3s", "a=range:clock=20200101T000000Z-20200102T000000Z": "0s 0s", "a=range:npt=0-1e300": "0s 0s",
		"a=range:npt=0-NaN": "0s 0s", "a=range:npt=-5-5": "0s 0s", "a=range:npt=0-99999999999999:00:00": "0s 0s", "a=rangenpt=0-5": "0s 0s", "": "0s 0s",
	} {
		first, length := length([]byte("v=0\r\n" + line + "\r\nm=audio 0 RTP/AVP 0\r\n"))
		if got := fmt.Sprint(first, " ", length); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestPulse(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 20 * time.Second, "7;timeout=30": 10 * time.Second, "7;timeout=4000000000": 20 * time.Second, "7;timeout=0": 20 * time.Second, "7;timeout=x": 20 * time.Second} {
		if got := pulse([]string{header}); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
}

// descriptions are those of servers that mean ill, or badly.
var descriptions = []string{
	"", "v=0", "v=0\r\nm=video 0 RTP/AVP 96\r\n", "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=,;packetization-mode=1\r\n",
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=Zw==,aA==;profile-level-id=zzz\r\n",
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps=AA==;sprop-sps=AA==;sprop-pps=AA==\r\n",
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/0\r\n", "m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\na=fmtp:96 profile=-1;level-idx=x\r\n",
	"m=audio 0 RTP/AVP 96\r\na=rtpmap:96 L16/0/0\r\n", "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 L16/4294967295/255\r\n", "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/0\r\n",
	"m=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/200\r\na=fmtp:96 sprop-stereo=x\r\n", "m=audio 99999999 RTP/AVP 0 0 0 0\r\na=control:%zz\r\n",
	"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n", "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/44100/2\r\na=fmtp:97 mode=AAC-hbr;config=1210\r\n",
	"a=range:npt=--\r\na=key-mgmt:mikey AAAA\r\nm=audio 0 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AA==\r\n",
}

// played has a description's first tracks get payloads, as a server of it may send them.
func played(text string, payload []byte) {
	length([]byte(text))
	var parsed psdp.SessionDescription
	var d description.Session
	if parsed.Unmarshal([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"+text)) != nil || d.Unmarshal2(&parsed) != nil {
		return
	}
	var r ring
	r.init(time.Hour)
	defer r.end(nil)
	for _, m := range d.Medias {
		t, f := pick(m)
		if f == nil {
			_ = nameOf(m)
			continue
		}
		r.add(t)
		for i := range 4 {
			p := rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i), Timestamp: uint32(i/2) * 3000, Marker: i&1 == 1}, Payload: payload}
			if i == 2 && len(payload) > 2 {
				p.Payload = payload[len(payload)/2:]
			}
			r.packet(t, &p, time.Now(), false)
		}
		for len(r.units) > 0 {
			var u container.Unit
			_ = r.read(&u)
		}
	}
}

func TestDescriptions(t *testing.T) {
	for _, d := range descriptions {
		for _, payload := range []string{"", "\x00", "\x67\x42", "\x7c\x85\x00", strings.Repeat("\xff", 100), strings.Repeat("\x10", 3)} {
			played(d, []byte(payload))
		}
	}
	var f format.Format = &format.MPEG4Audio{PayloadTyp: 97}
	if _, known := pick(&description.Media{Formats: []format.Format{f}}); known != nil {
		t.Error("AAC is taken, which nobody can decode")
	}
}

func FuzzDescription(f *testing.F) {
	for i, d := range descriptions {
		f.Add(d, []byte{0x10, byte(i), 0x67, 0x42, 0})
	}
	f.Fuzz(func(_ *testing.T, d string, payload []byte) { played(d, payload) })
}
