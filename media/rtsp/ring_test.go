package rtsp

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/uri"
	"github.com/patchbay/patchbay/media/video"
)

// newRing is one of sound and H264, in a test's time.
func newRing(t *testing.T, stall time.Duration) (r *ring, sound, picture *track) {
	r = &ring{}
	r.init(stall)
	sound, picture = &track{waits: true}, &track{waits: true}
	if !sound.take(&format.G711{SampleRate: 8000, ChannelCount: 1}) || !picture.take(&format.H264{PacketizationMode: 1, SPS: []byte{0x67, 1, 2, 3}, PPS: []byte{0x68}}) {
		t.Fatal("formats aren't known")
	}
	r.add(sound)
	r.add(picture)
	r.moved(0, nil)
	t.Cleanup(func() { r.end(io.EOF) })
	return r, sound, picture
}

// come has packets come: sequence, timestamp, the unit's kind ("I" and "P" of H264, "i" a key picture with its sets), "." behind the last of
// a picture.
func come(r *ring, t *track, packets ...string) {
	for _, text := range packets {
		var p rtp.Packet
		var kind string
		if _, err := fmt.Sscan(text, &p.SequenceNumber, &p.Timestamp, &kind); err != nil {
			panic(err)
		}
		p.Marker = strings.HasSuffix(kind, ".")
		switch kind[0] {
		case 'I':
			p.Payload = []byte{0x65, 0, 0, 0}
		case 'i':
			p.Payload = []byte{0x67, 0, 0, 0}
		case 'P':
			p.Payload = []byte{0x41, 0, 0, 0}
		case 's':
			p.Payload = make([]byte, 160)
		}
		r.packet(t, &p, time.Now(), false)
	}
}

// got are the units that wait: track, ms, how many payloads, "key".
func got(r *ring) (list []string) {
	for len(r.units) > 0 {
		var u container.Unit
		if err := r.read(&u); err != nil {
			return append(list, err.Error())
		}
		n := 0
		if u.Track == 1 {
			video.Split(u.Data, func([]byte) { n++ })
		}
		text := fmt.Sprintf("%d %d %d", u.Track, u.At.Milliseconds(), n)
		if u.Track == 1 && u.Key {
			text += " key"
		}
		list = append(list, text)
	}
	return list
}

// What a picture lost a part of is left out, and all that needs it; the next key picture goes on. A key picture has its parameter sets.
func TestLoss(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want []string
	}{
		"none":             {[]string{"1 0 I.", "2 9000 P", "3 9000 P.", "4 18000 i", "5 18000 I."}, []string{"1 0 3 key", "1 100 2", "1 200 2 key"}},
		"begins amid":      {[]string{"1 0 P.", "2 9000 P.", "3 18000 I."}, []string{"1 200 3 key"}},
		"of a middle":      {[]string{"1 0 I.", "2 9000 P", "4 9000 P.", "5 18000 P.", "6 27000 I."}, []string{"1 0 3 key", "1 300 3 key"}},
		"of a whole":       {[]string{"1 0 I.", "3 18000 P.", "4 27000 I."}, []string{"1 0 3 key", "1 300 3 key"}},
		"of an end":        {[]string{"1 0 I.", "2 9000 P", "4 18000 P.", "5 27000 I."}, []string{"1 0 3 key", "1 300 3 key"}},
		"before a key one": {[]string{"1 0 I.", "3 18000 I."}, []string{"1 0 3 key", "1 200 3 key"}},
		"of a key one":     {[]string{"1 0 I", "3 0 P.", "4 9000 P.", "5 18000 I."}, []string{"1 200 3 key"}},
		"no markers":       {[]string{"1 0 I", "2 9000 P", "3 9000 P", "4 18000 P"}, []string{"1 0 3 key", "1 100 2"}},
		"numbers go round": {[]string{"65535 4294967295 I.", "0 8999 P."}, []string{"1 0 3 key", "1 100 1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, _, picture := newRing(t, time.Hour)
			come(r, picture, c.in...)
			if list := got(r); !slices.Equal(list, c.want) {
				t.Errorf("%s: %q, want %q", name, list, c.want)
			}
		})
	}
}

// Tracks begin where they came, and timestamps that jump far begin anew there.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sound, picture := newRing(t, time.Hour)
		come(r, picture, "1 70000 I.")
		time.Sleep(30 * time.Millisecond)
		come(r, sound, "7 5000 s", "8 5160 s")
		time.Sleep(100 * time.Millisecond)
		come(r, picture, "2 79000 P.")
		come(r, sound, "9 5000000 s", "10 5000160 s")
		if list, want := got(r), []string{"1 0 3 key", "0 30 0", "0 50 0", "1 100 1", "0 130 0", "0 150 0"}; !slices.Equal(list, want) {
			t.Errorf("%q, want %q", list, want)
		}
	})
}

// While it pauses, time stands still, and what comes is left out; pictures go on with a key picture.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sound, picture := newRing(t, 3*time.Second)
		come(r, picture, "1 0 I.")
		come(r, sound, "1 0 s")
		time.Sleep(20 * time.Millisecond)
		r.pause(true, time.Now(), func() {})
		for range 5 { // it isn't silent
			time.Sleep(2 * time.Second)
			come(r, sound, "2 160 s")
			come(r, picture, "2 9000 I.")
		}
		r.pause(false, time.Now(), nil)
		come(r, sound, "500 80160 s", "501 80320 s")
		come(r, picture, "500 900000 P.", "501 909000 I.")
		if list, want := got(r), []string{"1 0 3 key", "0 0 0", "0 20 0", "0 40 0", "1 120 3 key"}; !slices.Equal(list, want) {
			t.Errorf("%q, want %q", list, want)
		}
	})
}

// What isn't read is bounded, and what has no room is lost; what has come is read before the end is.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sound, picture := newRing(t, time.Second)
		come(r, picture, "1 0 I.", "2 9000 P.")
		for i := range 3000 {
			come(r, sound, fmt.Sprint(i, i*160, " s"))
		}
		come(r, picture, "3 18000 P.", "4 27000 I.")
		if len(r.units) != mostUnits || r.lost != 3000+4-mostUnits {
			t.Errorf("%d units wait, %d are lost", len(r.units), r.lost)
		}
		r.units, r.bytes = nil, 0
		come(r, picture, "5 36000 P.", "6 45000 I.")
		if list := got(r); !slices.Equal(list, []string{"1 500 3 key"}) {
			t.Errorf("after what had no room: %q", list)
		}
		big := &rtp.Packet{Header: rtp.Header{SequenceNumber: 7, Timestamp: 54000}, Payload: make([]byte, 60000)}
		big.Payload[0] = 0x65
		for range 200 { // a picture without an end
			r.packet(picture, big, time.Now(), false)
			big.SequenceNumber++
		}
		if len(picture.picture) > video.MaxPicture {
			t.Errorf("a picture of %d bytes is kept", len(picture.picture))
		}
		come(r, sound, "1 0 s")
		time.Sleep(2 * time.Second)
		var u container.Unit
		if err := r.read(&u); err != nil {
			t.Error(err)
		}
		if err := r.read(&u); !errors.Is(err, uri.ErrStalled) {
			t.Errorf("in silence: %v", err)
		}
	})
}

// The stream ends with the last of its tracks.
func TestBye(t *testing.T) {
	r, sound, picture := newRing(t, time.Hour)
	r.bye(sound)
	if r.err != nil {
		t.Error("it ended with the first")
	}
	r.bye(picture)
	if err := r.read(nil); !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
}
