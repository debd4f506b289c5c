package wire

import (
	"net/netip"
	"strconv"
	"strings"
)

// Respond makes the response to a request as RFC 3261 8.2.6 asks: the values it copies are those that came. from is
// where the request came from (18.2.1, RFC 3581). tag is put into To unless one is there or the status is 100.
// The caller has checked phrase and extra.
func Respond(m *Message, from netip.AddrPort, status int, phrase, tag string, extra []Header, body []byte) []byte {
	res := make(Writer, 0, usual)
	res = strconv.AppendInt(append(res, "SIP/2.0 "...), int64(status), 10)
	res = append(append(append(res, ' '), phrase...), "\r\n"...)
	for i, v := range m.Vias {
		if i == 0 {
			v = stampVia(v, m.Via, from)
		}
		res = res.Add("Via", v)
	}
	if status > 100 && status < 300 {
		for _, v := range m.Headers.Lines("Record-Route") {
			res = res.Add("Record-Route", v)
		}
	}
	res = res.Add("From", m.Headers.Get("From"))
	to := m.Headers.Get("To")
	if _, has := Param(to, "tag"); !has && status > 100 && tag != "" {
		to += ";tag=" + tag
	}
	res = res.Add("To", to)
	res = res.Add("Call-ID", m.CallID)
	res = res.Add("CSeq", m.Headers.Get("CSeq"))
	if ts := m.Headers.Get("Timestamp"); ts != "" && status == 100 {
		res = res.Add("Timestamp", ts)
	}
	for _, h := range extra {
		res = res.Add(h.Name, h.Value)
	}
	return res.Body(body)
}

// stampVia adds where the request really came from.
func stampVia(v string, via Via, from netip.AddrPort) string {
	if !from.IsValid() {
		return v
	}
	addr := from.Addr().Unmap().WithZone("").String()
	parts := SplitParams(v)
	out := make([]string, 0, len(parts)+2)
	for _, p := range parts {
		k, _, _ := strings.Cut(p, "=")
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "received", "rport":
			continue // only ours counts
		}
		out = append(out, p)
	}
	if via.HasRPort {
		out = append(out, "rport="+strconv.Itoa(int(from.Port())))
	}
	if via.HasRPort || via.Host != addr {
		out = append(out, "received="+addr)
	}
	return strings.Join(out, ";")
}

// Phrase is the usual reason phrase of a status.
func Phrase(status int) string {
	if p, ok := phrases(status); ok {
		return p
	}
	switch status / 100 {
	case 1:
		return "Progress"
	case 2:
		return "OK"
	case 3:
		return "Redirected"
	case 4:
		return "Request Failure"
	case 5:
		return "Server Failure"
	}
	return "Failure"
}

func phrases(status int) (string, bool) {
	switch status {
	case 100:
		return "Trying", true
	case 180:
		return "Ringing", true
	case 181:
		return "Call Is Being Forwarded", true
	case 182:
		return "Queued", true
	case 183:
		return "Session Progress", true
	case 200:
		return "OK", true
	case 202:
		return "Accepted", true
	case 300:
		return "Multiple Choices", true
	case 301:
		return "Moved Permanently", true
	case 302:
		return "Moved Temporarily", true
	case 400:
		return "Bad Request", true
	case 401:
		return "Unauthorized", true
	case 402:
		return "Payment Required", true
	case 403:
		return "Forbidden", true
	case 404:
		return "Not Found", true
	case 405:
		return "Method Not Allowed", true
	case 406:
		return "Not Acceptable", true
	case 407:
		return "Proxy Authentication Required", true
	case 408:
		return "Request Timeout", true
	case 410:
		return "Gone", true
	case 413:
		return "Request Entity Too Large", true
	case 415:
		return "Unsupported Media Type", true
	case 416:
		return "Unsupported URI Scheme", true
	case 420:
		return "Bad Extension", true
	case 423:
		return "Interval Too Brief", true
	case 469:
		return "Bad Info Package", true
	case 480:
		return "Temporarily Unavailable", true
	case 481:
		return "Call/Transaction Does Not Exist", true
	case 482:
		return "Loop Detected", true
	case 483:
		return "Too Many Hops", true
	case 484:
		return "Address Incomplete", true
	case 486:
		return "Busy Here", true
	case 487:
		return "Request Terminated", true
	case 488:
		return "Not Acceptable Here", true
	case 489:
		return "Bad Event", true
	case 491:
		return "Request Pending", true
	case 500:
		return "Server Internal Error", true
	case 501:
		return "Not Implemented", true
	case 502:
		return "Bad Gateway", true
	case 503:
		return "Service Unavailable", true
	case 504:
		return "Server Time-out", true
	case 505:
		return "Version Not Supported", true
	case 513:
		return "Message Too Large", true
	case 600:
		return "Busy Everywhere", true
	case 603:
		return "Decline", true
	case 604:
		return "Does Not Exist Anywhere", true
	}
	return "", false
}
