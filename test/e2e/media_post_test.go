//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// post: what a page of another origin has recorded of its microphone, as WebM and as MP4, is posted by it, played, and heard in a recording.
func (r *tutorials) post(t *testing.T) {
	r.step("make", o{"name": "post", "type": "HttpPostEndpoint"}, nil)
	var url string
	r.step("invoke", o{"name": "post", "method": "getUrl"}, &url)
	page, err := r.browser.Open(r.ctx, r.site)
	r.must(err)
	kinds := []string{"audio/webm;codecs=opus", "audio/mp4;codecs=opus"}
	r.must(page.Eval(r.ctx, fmt.Sprintf(`(async () => {
		const sound = await navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}})
		window.bodies = await Promise.all(%q.split(' ').map(mimeType => new Promise(resolve => {
			const recorder = new MediaRecorder(sound, {mimeType}), parts = []
			recorder.ondataavailable = e => parts.push(e.data)
			recorder.onstop = () => resolve(new Blob(parts, {type: recorder.mimeType}))
			recorder.start()
			setTimeout(() => recorder.stop(), 1300)
		})))
	})()`, strings.Join(kinds, " ")), nil))
	for i, kind := range kinds {
		r.step("make", o{"name": "posted", "type": "RecorderEndpoint", "params": o{"uri": "tutorial/posted.wav"}}, nil)
		r.step("connect", o{"from": "post", "to": "posted", "kind": "AUDIO"}, nil)
		r.step("invoke", o{"name": "posted", "method": "record"}, nil)
		var status, size int
		r.must(page.Eval(r.ctx, fmt.Sprintf(`window.bodies[%d].size`, i), &size))
		r.must(page.Eval(r.ctx, fmt.Sprintf(`fetch(%q, {method: 'POST', body: window.bodies[%d]}).then(r => r.status)`, url, i), &status))
		if status != 200 {
			t.Errorf("%s: the page is told %d", kind, status)
		}
		r.ends("post")
		r.step("invoke", o{"name": "posted", "method": "stopAndWait"}, nil)
		clip := decode(t, filepath.Join(r.files, "tutorial", "posted.wav"))
		if level := bestSecond(clip, iceTone); level < -14 || level > -6 {
			t.Errorf("%s: of %d bytes there are %.2f s, with the tone at %.1f dBFS in the best second, expected -10", kind, size, clip.Seconds(), level)
		}
		r.step("release", o{"name": "posted"}, nil)
	}
	r.step("release", o{"name": "post"}, nil)
	r.must(page.Close(r.ctx))
}

// ends waits until an element has played all, without an Error.
func (r *tutorials) ends(name string) {
	r.t.Helper()
	var told []o
	ended := false
	if !eventually(videoPatience, func() bool {
		var list []o
		r.step("events", o{"name": name}, &list)
		for _, e := range list {
			ended = ended || e["event"] == "EndOfStream"
			if e["event"] == "Error" {
				r.t.Errorf("%s: %v", name, e)
				ended = true
			}
		}
		told = append(told, list...)
		return ended
	}) {
		r.t.Fatalf("%s hasn't ended: %v", name, told)
	}
}
