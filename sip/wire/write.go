package wire

import (
	"strconv"
)

// Writer writes one message, header field by header field. The caller has checked every value.
type Writer struct{ b []byte }

// usual is room for most messages.
const usual = 1024

// NewWriter begins a request.
func NewWriter(method, uri string) *Writer {
	w := &Writer{make([]byte, 0, usual)}
	w.b = append(append(append(append(w.b, method...), ' '), uri...), " SIP/2.0\r\n"...)
	return w
}

// Add writes a header field.
func (w *Writer) Add(name, value string) {
	w.b = append(append(append(append(w.b, name...), ": "...), value...), "\r\n"...)
}

// Body ends the message with Content-Length and a body, which may be empty, and returns all of it.
func (w *Writer) Body(body []byte) []byte {
	w.b = append(strconv.AppendInt(append(w.b, "Content-Length: "...), int64(len(body)), 10), "\r\n\r\n"...)
	return append(w.b, body...)
}
