package wire

import "strconv"

// Writer writes one message, header field by header field; each step gives the next Writer. The caller has checked every value.
type Writer []byte

// usual is room for most messages. It stands on the stack of who writes: what a message takes is known when it is done.
const usual = 1024

// NewWriter begins a request.
func NewWriter(method, uri string) Writer {
	return Writer(make([]byte, 0, usual)).start(method, uri)
}

func (w Writer) start(method, uri string) Writer {
	return append(append(append(append(w, method...), ' '), uri...), " SIP/2.0\r\n"...)
}

// Add writes a header field.
func (w Writer) Add(name, value string) Writer {
	return append(append(append(append(w, name...), ": "...), value...), "\r\n"...)
}

// Body ends the message with Content-Length and a body, which may be empty, and returns all of it, in room of its own.
func (w Writer) Body(body []byte) []byte {
	const name = "Content-Length: "
	var room [20]byte
	length := strconv.AppendInt(room[:0], int64(len(body)), 10)
	text := make([]byte, 0, len(w)+len(name)+len(length)+4+len(body))
	text = append(append(append(append(text, w...), name...), length...), "\r\n\r\n"...)
	return append(text, body...)
}
