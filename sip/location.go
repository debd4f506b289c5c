package sip

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/patchbay/patchbay/sip/wire"
)

// Location is where a caller is, as an INVITE carries it beside its SDP (RFC 6442 4.1): a Geolocation header field names it by its id.
type Location struct {
	ID   string // Content-ID, without angle brackets
	Body []byte // PIDF-LO (RFC 4119, RFC 5491)
}

const (
	pidfType    = "application/pidf+xml"
	maxLocation = 16 << 10
)

// location reads the one that an INVITE carries; nil: none that is usable.
func location(m *wire.Message) *Location {
	media, params, err := mime.ParseMediaType(m.Headers.Get("Content-Type"))
	if err != nil || media != "multipart/mixed" || params["boundary"] == "" {
		return nil
	}
	r := multipart.NewReader(bytes.NewReader(m.Body), params["boundary"])
	for range maxParts {
		part, err := r.NextRawPart()
		if err != nil {
			return nil
		}
		if wire.MediaType(part.Header.Get("Content-Type")) != pidfType {
			continue
		}
		l := &Location{ID: strings.Trim(strings.TrimSpace(part.Header.Get("Content-ID")), "<>")}
		if l.Body, err = io.ReadAll(io.LimitReader(part, maxLocation+1)); err != nil || l.check() != nil {
			return nil
		}
		return l
	}
	return nil
}

func (l *Location) check() error {
	switch {
	case len(l.Body) == 0 || len(l.Body) > maxLocation:
		return fmt.Errorf("sip: location of %d bytes: expected 1 to %d", len(l.Body), maxLocation)
	case l.ID == "" || len(l.ID) > 128 || strings.ContainsAny(l.ID, "<> \t\""):
		return fmt.Errorf("sip: id of a location: expected up to 128 characters without spaces, quotes and angle brackets")
	}
	return wire.Safe("id of a location", l.ID)
}

// beside is a body of SDP and the location beside it.
func (l *Location) beside(ctype string, sdp []byte) (mixed string, body []byte) {
	boundary := "patchbay-" + randomHex(12)
	var b bytes.Buffer
	fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\nContent-ID: <%s>\r\n\r\n%s\r\n--%s--\r\n", boundary, ctype, sdp, boundary, pidfType, l.ID, l.Body, boundary)
	return "multipart/mixed;boundary=" + boundary, b.Bytes()
}
