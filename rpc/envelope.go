package rpc

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// request is a message of a client. Its slices are parts of the message.
type request struct {
	id     []byte // as it came; nil: a notification, which nobody is answered
	method string
	params []byte // an object, or nil
}

// silent reports whether the client wants no answer.
func (r *request) silent() bool { return r.id == nil }

// maxID bounds a request's id, in bytes.
const maxID = 256

// envelopeDepth is how much deeper than parameters a document may be nested: a transaction's operations are a list of
// requests in the params of one.
const envelopeDepth = 5

func invalid() *Error { return Errorf(InvalidRequest, "Invalid JSON-RPC request.") }

// parseRequest reads the envelope.
func parseRequest(msg []byte) (*request, error) {
	msg = trim(msg)
	if err := checkDepth(msg, maxDepth+envelopeDepth); err != nil {
		return nil, Errorf(ParseFailed, "Parse error: %v", err)
	}
	return readRequest(msg)
}

// readRequest reads the envelope of what has passed checkJSON.
func readRequest(msg []byte) (*request, error) {
	if msg[0] != '{' {
		return nil, invalid()
	}
	r := &request{}
	version, method := false, []byte(nil)
	for w := members(msg); w.next(); {
		switch string(w.key) {
		case "jsonrpc":
			version = string(w.val) == `"2.0"`
		case "id":
			r.id = w.val
		case "method":
			method = w.val
		case "params":
			r.params = w.val
		}
	}
	if !version || len(method) == 0 || method[0] != '"' || len(r.id) > maxID {
		return nil, invalid()
	}
	if len(r.id) > 0 && (r.id[0] == '{' || r.id[0] == '[') {
		return nil, invalid()
	}
	if isNull(r.id) {
		r.id = nil
	}
	if isNull(r.params) {
		r.params = nil
	}
	r.method = unquote(method)
	if r.params != nil && r.params[0] != '{' {
		return r, nil // dispatch says so with the id
	}
	return r, nil
}

// member finds one member of an object that has passed checkJSON; nil if it isn't there, or null.
func member(object []byte, name string) []byte {
	var out []byte
	if len(object) == 0 || object[0] != '{' {
		return nil
	}
	for w := members(object); w.next(); {
		if string(w.key) == name {
			out = w.val
		}
	}
	if isNull(out) {
		return nil
	}
	return out
}

// text reads a parameter of the request itself that is a string; "" if it is absent and may be.
func (r *request) text(name string, required bool) (string, error) {
	raw := member(r.params, name)
	switch {
	case raw == nil && !required:
		return "", nil
	case raw == nil:
		return "", Errorf(BadEnvelope, "'%s' parameter is required", name)
	case raw[0] != '"':
		return "", Errorf(BadEnvelope, "'%s' parameter should be a string", name)
	}
	return unquote(raw), nil
}

// appendResult writes a reply. members are those of the result, each with a comma behind it; nil with a nil session is
// the result null.
func appendResult(b, id, members, session []byte) []byte {
	b = appendHead(b, id)
	b = append(b, `"result":`...)
	if members == nil && session == nil {
		return append(b, "null}"...)
	}
	b = append(b, '{')
	b = append(b, members...)
	if session != nil {
		b = append(b, `"sessionId":`...)
		b = append(b, session...)
	} else {
		b = bytes.TrimSuffix(b, []byte(","))
	}
	return append(b, "}}"...)
}

func appendHead(b, id []byte) []byte {
	if id == nil {
		id = []byte("null")
	}
	b = append(b, `{"id":`...)
	b = append(b, id...)
	return append(b, `,"jsonrpc":"2.0",`...)
}

// appendError writes a reply with an error.
func appendError(b, id []byte, err *Error) []byte {
	b = appendHead(b, id)
	b = append(b, `"error":`...)
	out, _ := json.Marshal(err.Wire()) // numbers and strings: it never fails
	b = append(b, out...)
	return append(b, '}')
}

// appendMember writes one of a result's members, with a comma behind it.
func appendMember(b []byte, name string, value []byte) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b = append(b, value...)
	return append(b, ',')
}

// quote is a string as JSON.
func quote(s string) []byte {
	e := encoding{buf: make([]byte, 0, len(s)+2)}
	e.text(s)
	return e.buf
}

func number(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }
