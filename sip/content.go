package sip

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"

	"github.com/patchbay/patchbay/sip/wire"
)

// maxParts bounds the parts of a multipart body that are looked at.
const maxParts = 16

// content returns the body and its type. Of a multipart body it is the SDP part, which is what SIP-I and IMS peers
// wrap; a multipart body without one is returned as it is.
func content(m *wire.Message) (ctype string, body []byte) {
	ctype = m.Headers.Get("Content-Type")
	if len(m.Body) == 0 {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(ctype)
	if err != nil || media != "multipart/mixed" && media != "multipart/alternative" || params["boundary"] == "" {
		return ctype, m.Body
	}
	r := multipart.NewReader(bytes.NewReader(m.Body), params["boundary"])
	for range maxParts {
		part, err := r.NextRawPart()
		if err != nil {
			break
		}
		if wire.MediaType(part.Header.Get("Content-Type")) != sdpType {
			continue
		}
		if data, err := io.ReadAll(part); err == nil {
			return sdpType, data
		}
	}
	return ctype, m.Body
}
