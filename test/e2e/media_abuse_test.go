//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Programs that connect elements in circles, servers whose files are made to be expensive, applications that send audio sample by sample:
// none of them ends the gateway, or keeps it from serving others.
func TestMediaAbuse(t *testing.T) {
	g := startRPCMedia(t, "  urls: {private: [127.0.0.0/8]}\n", "")
	good, c := openRPC(t, g.url), openRPC(t, g.url)
	server := good.value(t, "connect", o{})
	pipeline := c.create(t, "MediaPipeline", nil)
	in := func(more o) o {
		more["mediaPipeline"] = pipeline
		return more
	}
	t.Run("circles", func(t *testing.T) { abuseCircles(t, c, in) })
	t.Run("files", func(t *testing.T) { abuseFiles(t, c, in) })
	t.Run("streams", func(t *testing.T) { abuseStreams(t, c, in) })
	if got := good.text(t, "ping", o{}); got != "pong" {
		t.Errorf("ping says %q", got)
	}
	if now := good.value(t, "connect", o{}); !bytes.Equal(now, server) {
		t.Errorf("the server was %s, and is %s", server, now)
	}
}

// abuseCircles has a recorder ask for a key picture of what feeds itself.
func abuseCircles(t *testing.T, c *rpcClient, in func(o) o) {
	hub := c.create(t, "Dispatcher", in(o{}))
	port, other := c.create(t, "HubPort", o{"hub": hub}), c.create(t, "HubPort", o{"hub": hub})
	c.invoke(t, hub, "connect", o{"source": port, "sink": other})
	for i, circle := range [][]string{
		{c.create(t, "PassThrough", in(o{}))},
		{c.create(t, "PassThrough", in(o{})), c.create(t, "PassThrough", in(o{}))},
		{c.create(t, "PassThrough", in(o{})), c.create(t, "Echo", in(o{}))},
	} {
		for j, e := range circle {
			c.invoke(t, e, "connect", o{"sink": circle[(j+1)%len(circle)]})
		}
		recorder := c.create(t, "RecorderEndpoint", in(o{"uri": string(rune('a'+i)) + ".webm"}))
		c.invoke(t, circle[0], "connect", o{"sink": recorder})
		c.invoke(t, recorder, "record", nil)
		c.invoke(t, recorder, "stopAndWait", nil)
	}
	c.invoke(t, other, "connect", o{"sink": port})
	recorder := c.create(t, "RecorderEndpoint", in(o{"uri": "hub.webm"}))
	c.invoke(t, other, "connect", o{"sink": recorder})
	c.invoke(t, recorder, "record", nil)
	c.invoke(t, recorder, "stopAndWait", nil)
}

// abuseFiles plays what is small and makes much work: each ends, or is refused.
func abuseFiles(t *testing.T, c *rpcClient, in func(o) o) {
	files := map[string][]byte{"/a.wav": oddWAV(), "/b.mkv": bombMatroska(), "/c.ogg": falseOgg()}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(files[r.URL.Path]) }))
	defer web.Close()
	players := map[string]string{}
	for name := range files {
		for range 4 {
			p := c.create(t, "PlayerEndpoint", in(o{"uri": web.URL + name, "networkCache": 0}))
			for _, event := range []string{"Error", "EndOfStream"} {
				c.value(t, "subscribe", o{"object": p, "type": event})
			}
			c.invoke(t, p, "play", nil)
			players[p] = name
		}
	}
	for p, name := range players {
		kind := "EndOfStream"
		if name != "/a.wav" {
			kind = "Error"
		}
		e := c.expect(t, p, kind, 30*time.Second)
		if kind == "Error" && !strings.HasPrefix(e.Data["type"].(string), "STREAM_ERROR") {
			t.Errorf("%s: %v", name, e.Data)
		}
		if _, err := c.call("release", o{"object": p}); err != nil {
			t.Error(err)
		}
	}
}

// oddWAV is a fifth of a second at a rate that has nothing in common with any other.
func oddWAV() []byte {
	const rate, n = 191999, 2 * 191999 / 5
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, 36+n)...)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, 2*rate)
	b = append(b, "\x02\x00\x10\x00data"...)
	b = binary.LittleEndian.AppendUint32(b, n)
	return append(b, make([]byte, n)...)
}

// bombMatroska has blocks of 256 units, in front of each of which 500 kB are to be put.
func bombMatroska() []byte {
	element := func(id string, parts ...[]byte) []byte {
		data := bytes.Join(parts, nil)
		size := binary.BigEndian.AppendUint64(nil, uint64(len(data)))
		size[0] = 1
		return append(append([]byte(id), size...), data...)
	}
	packed := element("\x50\x34", element("\x42\x54", []byte{3}), element("\x42\x55", make([]byte, 500_000)))
	track := element("\xae", element("\xd7", []byte{1}), element("\x86", []byte("V_VP8")), element("\x6d\x80", element("\x62\x40", packed)))
	cluster := element("\xe7", []byte{0})
	for range 200 {
		cluster = append(cluster, element("\xa3", []byte{0x81, 0, 0, 0x84, 255})...)
	}
	return append(element("\x1a\x45\xdf\xa3"), element("\x18\x53\x80\x67", element("\x16\x54\xae\x6b", track), element("\x1f\x43\xb6\x75", cluster))...)
}

// falseOgg is nothing but beginnings of pages.
func falseOgg() []byte {
	page := append([]byte("OggS\x00\x02"), make([]byte, 20)...)
	return bytes.Repeat(append(append(page, 255), bytes.Repeat([]byte{255}, 255)...), 20_000)
}

// abuseStreams connects to an application that sends a sample a message, as fast as it can, then nonsense, and reads nothing.
func abuseStreams(t *testing.T, c *rpcClient, in func(o) o) {
	var up websocket.Upgrader
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		for range 100_000 {
			if ws.WriteMessage(websocket.BinaryMessage, []byte{1, 2}) != nil {
				return
			}
		}
		for {
			for _, text := range []string{`{"event":"mark","name":"x"}`, `{"event":7}`, `[`, `{"event":"media","payload":"****"}`, `{"event":"dtmf","digits":"` + strings.Repeat("1", 100_000) + `"}`} {
				if ws.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
					return
				}
			}
		}
	}))
	defer app.Close()
	for range 2 {
		s := c.create(t, "StreamEndpoint", in(o{"url": strings.Replace(app.URL, "http", "ws", 1)}))
		c.value(t, "subscribe", o{"object": s, "type": "StreamStopped"})
		c.invoke(t, s, "start", nil)
		if e := c.expect(t, s, "StreamStopped", 60*time.Second); e.Data["reason"] != "too many wrong messages" {
			t.Errorf("the stream ended: %v", e.Data)
		}
	}
}
