package uri

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A store that has made one object of the parts, and whose word is lost, knows no such upload when it is asked again: the recording is there if
// the object is, and is whole.
func TestStoreWordLost(t *testing.T) {
	for stored, works := range map[int]bool{36: true, 35: false, 0: false} {
		s := &store{secret: S3{Key: "key", Secret: "secret"}, objects: map[string]string{}}
		posts := 0
		s.secret.Endpoint = serve(t, "127.0.0.1:0", func(w http.ResponseWriter, q *http.Request) {
			switch query := q.URL.Query(); {
			case q.Method == http.MethodHead && stored == 0:
				w.WriteHeader(http.StatusNotFound)
			case q.Method == http.MethodHead:
				w.Header().Set("Content-Length", strconv.Itoa(stored))
			case q.Method == http.MethodPost && query.Has("uploadId"):
				if posts++; posts == 1 {
					s.ServeHTTP(httptest.NewRecorder(), q)
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte("<Error><Code>NoSuchUpload</Code></Error>"))
			default:
				s.ServeHTTP(w, q)
			}
		}).URL
		o, _ := place(t, Config{Schemes: []string{"s3"}, S3: s.secret, Stall: 2 * time.Second})
		p, err := o.Parse("s3://calls/a.webm", "")
		if err != nil {
			t.Fatal(err)
		}
		const whole = "what was said, and what was answered"
		err = o.storeParts(context.Background(), p, io.NewSectionReader(strings.NewReader(whole), 0, int64(len(whole))), 10, "video/webm")
		if works != (err == nil) || err != nil && !strings.Contains(err.Error(), "404 NoSuchUpload") {
			t.Errorf("the object has %d bytes: %v", stored, err)
		}
	}
}
