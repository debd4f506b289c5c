package gateway

import (
	"strings"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// phrases are the reason phrases of RFC 3261 21 for the statuses that a gateway sends.
var phrases = map[int]string{
	380: "Alternative Service",
	400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout", 410: "Gone",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 484: "Address Incomplete",
	486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 500: "Server Internal Error",
	501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 580: "Precondition Failure",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}

// number is the user part of a URI: what was dialled, or who calls.
func number(u sip.URI) string {
	n := u.User
	if n == "" {
		n = u.Opaque // tel
	}
	n, _, _ = strings.Cut(n, ";")
	if n == "" {
		return u.Host
	}
	return wire.Unescape(n)
}
