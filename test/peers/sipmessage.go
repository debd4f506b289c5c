package peers

import (
	"strconv"
	"strings"
	"time"
)

// Message is one SIP message, as far as tests look into it.
type Message struct {
	At     time.Time
	Sent   bool   // by the program whose log it is from
	Start  string // the request line or status line
	Method string // of the CSeq header, upper case: a response's is its request's
	Status int    // 0 in a request
	header []string
	Body   string
}

// ParseMessage reads one SIP message. It is lenient: a test's peer may send
// what a stack would refuse. ok is false if there is no SIP start line.
func ParseMessage(raw string) (m Message, ok bool) {
	head, body, found := strings.Cut(raw, "\r\n\r\n")
	if !found {
		head, body, _ = strings.Cut(raw, "\n\n")
	}
	m.Body = body
	for i, line := range strings.Split(head, "\n") {
		line = strings.TrimRight(line, "\r")
		switch {
		case i == 0:
			m.Start = line
		case line != "" && (line[0] == ' ' || line[0] == '\t') && len(m.header) > 0:
			m.header[len(m.header)-1] += " " + strings.TrimSpace(line)
		default:
			m.header = append(m.header, line)
		}
	}
	if rest, isStatus := strings.CutPrefix(m.Start, "SIP/2.0 "); isStatus {
		code, _, _ := strings.Cut(rest, " ")
		m.Status, _ = strconv.Atoi(code)
		ok = m.Status >= 100 && m.Status <= 699
	} else {
		ok = strings.HasSuffix(m.Start, " SIP/2.0")
	}
	if f := strings.Fields(m.Header("CSeq")); len(f) == 2 {
		m.Method = strings.ToUpper(f[1])
	}
	if m.Method == "" && m.Status == 0 {
		m.Method, _, _ = strings.Cut(m.Start, " ")
	}
	return m, ok
}

// Header is the value of the first header of the name, or of its compact form.
func (m Message) Header(name string) string {
	if all := m.Headers(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// Headers is the values of all headers of the name, in order.
func (m Message) Headers(name string) []string {
	short := compact(name)
	var out []string
	for _, h := range m.header {
		k, v, _ := strings.Cut(h, ":")
		k = strings.TrimSpace(k)
		if strings.EqualFold(k, name) || short != "" && strings.EqualFold(k, short) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

func compact(name string) string {
	switch strings.ToLower(name) {
	case "call-id":
		return "i"
	case "from":
		return "f"
	case "to":
		return "t"
	case "via":
		return "v"
	case "contact":
		return "m"
	case "content-type":
		return "c"
	case "content-length":
		return "l"
	case "supported":
		return "k"
	}
	return ""
}

// Request tells whether it is a request of the method.
func (m Message) Request(method string) bool { return m.Status == 0 && m.Method == method }

// Tag is the tag parameter of From or To, "" if it has none.
func (m Message) Tag(header string) string {
	v := m.Header(header)
	if i := strings.LastIndexByte(v, '>'); i >= 0 {
		v = v[i:]
	}
	for _, p := range strings.Split(v, ";") {
		if k, tag, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(k, "tag") {
			return tag
		}
	}
	return ""
}

// Cause is the Q.850 cause of the Reason header (RFC 3326), 0 if it has none.
func (m Message) Cause() int {
	for _, v := range m.Headers("Reason") {
		for _, one := range strings.Split(v, ",") {
			fields := strings.Split(one, ";")
			if !strings.EqualFold(strings.TrimSpace(fields[0]), "Q.850") {
				continue
			}
			for _, f := range fields[1:] {
				if k, c, ok := strings.Cut(strings.TrimSpace(f), "="); ok && strings.EqualFold(k, "cause") {
					n, _ := strconv.Atoi(strings.TrimSpace(c))
					return n
				}
			}
		}
	}
	return 0
}

// SIP is the SIP messages among captured packets; Sent is false in all.
func SIP(packets []Packet) []Message {
	var out []Message
	for _, p := range packets {
		if len(p.Data) < 20 || p.Data[0] < 'A' || p.Data[0] > 'Z' {
			continue
		}
		if m, ok := ParseMessage(string(p.Data)); ok {
			m.At = p.At
			out = append(out, m)
		}
	}
	return out
}
