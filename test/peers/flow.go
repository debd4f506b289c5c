package peers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Flow is one side of a call flow, step by step, from which a scenario of SIPp is made:
//
//	> INVITE sdp            send a request, or
//	> 200 INVITE sdp        a response to the last request of that method
//	< 180 INVITE            wait for a response or a request; it must be the next one
//	<? 183 INVITE           it may come
//	= 200                   wait for so many ms
//	>b INVITE, <b 180 INVITE   in a second dialog of the caller's, to whom the key "second" names
//
// sdp sends a body, or expects one; sdp:sendonly one with that direction. rel makes a provisional response reliable (RFC 3262), or
// expects that it is; auth takes a challenge, and answers it with -au and -ap. Behind bars stand header fields: those that are sent, or expressions that must be found in those that come.
// Those that begin with a= are attributes of the SDP.
// What a side sends has its own tags and numbers; an ACK is that of the last final response, CANCEL that of the last INVITE.
type Flow []string

// flowWriter writes the scenario of one side.
type flowWriter struct {
	b           strings.Builder
	caller      bool
	several     bool           // the caller has two dialogs: each has names of its own
	dialogs     [2]flowDialog  // the second is that of steps with b
	*flowDialog                // of the step at hand
	came        map[string]int // requests that came, by method: their last number among all
	n           int            // messages that came
	sdp         int
	rseq        int
	vars        []string
	needRSeq    string
	auth        bool // of the step at hand
}

// flowDialog is what a dialog's messages have to know of those before.
type flowDialog struct {
	letter string // "" or b
	cseq   int    // of our last request
	invite int    // of our last INVITE
	up     bool   // our INVITE was answered
	early  bool   // it has got a To-tag
	status int    // the last final one that our INVITE got
}

// Scenario is the flow as SIPp's XML. The caller's -s is its number, the key "number" is whom it calls.
func (f Flow) Scenario(name string, caller bool) (string, error) {
	w := &flowWriter{caller: caller, came: map[string]int{}, rseq: 10, dialogs: [2]flowDialog{{}, {letter: "b"}}}
	w.several = slices.ContainsFunc(f, func(step string) bool { return strings.HasPrefix(step, ">b ") })
	fmt.Fprintf(&w.b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n<scenario name=%q>\n", name)
	for _, step := range f {
		if err := w.step(step); err != nil {
			return "", fmt.Errorf("flow %s: step %q: %w", name, step, err)
		}
	}
	if len(w.vars) > 0 {
		fmt.Fprintf(&w.b, "  <Reference variables=%q/>\n", strings.Join(w.vars, ","))
	}
	w.b.WriteString("  <timewait milliseconds=\"1000\"/>\n</scenario>\n")
	return w.b.String(), nil
}

func (w *flowWriter) step(s string) error {
	parts := strings.Split(s, " | ")
	words, more := strings.Fields(parts[0]), parts[1:]
	if len(words) < 2 {
		return fmt.Errorf("expected a sign and what goes or comes")
	}
	what, rest := words[1], words[2:]
	var body, method string
	rel := false
	w.auth, w.flowDialog = false, &w.dialogs[0]
	if sign, second := strings.CutSuffix(words[0], "b"); second {
		words[0], w.flowDialog = sign, &w.dialogs[1]
	}
	for _, x := range rest {
		switch {
		case x == "rel":
			rel = true
		case x == "auth":
			w.auth = true
		case strings.HasPrefix(x, "sdp"):
			body = strings.TrimPrefix(strings.TrimPrefix(x, "sdp"), ":")
			if body == "" {
				body = "sendrecv"
			}
		default:
			method = x
		}
	}
	status, err := strconv.Atoi(what)
	response := err == nil
	switch {
	case words[0] == "=" && response:
		fmt.Fprintf(&w.b, "  <pause milliseconds=\"%d\"/>\n", status)
	case words[0] == ">" && response:
		return w.answer(status, method, body, rel, more)
	case words[0] == ">":
		w.ask(what, body, more)
	case words[0] == "<" || words[0] == "<?":
		w.await(what, method, body, response, rel, words[0] == "<?", more)
	default:
		return fmt.Errorf("expected one of > < <? =")
	}
	return nil
}

func (w *flowWriter) variable(prefix string) string {
	v := fmt.Sprintf("%s%d", prefix, len(w.vars))
	w.vars = append(w.vars, v)
	return v
}

// message writes a send. SIPp fills in the length.
func (w *flowWriter) message(repeat bool, start string, lines []string, body string) {
	var attributes strings.Builder
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		if !strings.HasPrefix(l, "a=") {
			return false
		}
		attributes.WriteString("\n" + l)
		return true
	})
	r := ""
	if repeat {
		r = " retrans=\"500\""
	}
	fmt.Fprintf(&w.b, "  <send%s><![CDATA[\n%s\n%s\n", r, start, strings.Join(lines, "\n"))
	if body == "" {
		w.b.WriteString("Content-Length: 0\n\n]]></send>\n")
		return
	}
	w.sdp++
	fmt.Fprintf(&w.b, `Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 7 %d IN IP[media_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=%s%s
]]></send>
`, w.sdp, body, attributes.String())
}

// noContact among header fields leaves Contact out.
const noContact = "Contact: -"

const flowContact = "Contact: <sip:[service]@[local_ip]:[local_port];transport=[transport]>"

func (w *flowWriter) ask(method, body string, more []string) {
	ours, theirs := "From: <sip:[service]@[local_ip]>;tag=[pid]c[call_number]", "To: <sip:[number]@[remote_ip]>[peer_tag_param]"
	if !w.caller {
		ours, theirs = "From:[$to0];tag=[pid]s[call_number]", "To:[$from0]"
	}
	uri, via, last, callID, number := "[next_url]", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport", "[last_Via:]", "[call_id]", "[number]"
	if w.letter != "" {
		callID, number = w.letter+"///[call_id]", "[second]"
	}
	if w.several && method == "INVITE" {
		via = w.ownVia(w.cseq + 1)
	}
	if w.several {
		ours, theirs, last = fmt.Sprintf("From: <sip:[service]@[local_ip]>;tag=[pid]c%s[call_number]", w.letter), "To: <sip:"+number+"@[remote_ip]>", w.ownVia(w.invite)
		if w.early {
			theirs += ";tag=[$tag" + w.letter + "]"
		}
	}
	first := "sip:" + number + "@[remote_ip]:[remote_port]"
	seq := 0
	switch {
	case method == "CANCEL":
		uri, via, theirs, seq = first, last, "To: <sip:"+number+"@[remote_ip]>", w.invite
	case method == "ACK" && w.status >= 300:
		via, theirs, seq = last, "[last_To:]", w.invite
		if !w.up && w.caller {
			uri = first
		}
	case method == "ACK":
		seq = w.invite
	default:
		w.cseq++
		seq = w.cseq
		if method == "REGISTER" {
			uri, ours, theirs = "sip:[domain]", "From: <sip:[service]@[domain]>;tag=[pid]c[call_number]", "To: <sip:[service]@[domain]>"
		} else if method == "INVITE" && !w.up && w.caller {
			uri, theirs = first, "To: <sip:"+number+"@[remote_ip]>"
		}
	}
	if method == "INVITE" {
		w.invite = seq
	}
	lines := []string{via, ours, theirs, "Call-ID: " + callID, fmt.Sprintf("CSeq: %d %s", seq, method), "Max-Forwards: 70"}
	if method != "ACK" && method != "CANCEL" && !slices.Contains(more, noContact) {
		lines = append(lines, flowContact)
	}
	more = slices.DeleteFunc(more, func(h string) bool { return h == noContact })
	if w.auth {
		lines = append(lines, "[authentication]")
	}
	if method == "PRACK" {
		lines = append(lines, fmt.Sprintf("RAck: [$%s] %d INVITE", w.needRSeq, w.invite))
	}
	w.message(method != "ACK", method+" "+uri+" SIP/2.0", append(lines, more...), body)
	if method == "INVITE" {
		w.b.WriteString("  <recv response=\"100\" optional=\"true\"/>\n")
	}
}

// ownVia is the Via of an INVITE whose branch is known to its ACK and CANCEL, whatever comes in the other dialog meanwhile.
func (w *flowWriter) ownVia(seq int) string {
	return fmt.Sprintf("Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK[pid].[call_number].%s%d;rport", w.letter, seq)
}

func (w *flowWriter) answer(status int, method, body string, rel bool, more []string) error {
	n, ok := w.came[method]
	if !ok {
		return fmt.Errorf("no %q came before", method)
	}
	to := fmt.Sprintf("To:[$to%d]", n)
	if !w.caller && n == 0 && status > 100 {
		to += ";tag=[pid]s[call_number]"
	}
	for i, h := range more { // another branch of a fork
		if tag, ok := strings.CutPrefix(h, "tag="); ok {
			to = fmt.Sprintf("To:[$to%d];tag=[pid]%s[call_number]", n, tag)
			more = append(append([]string{}, more[:i]...), more[i+1:]...)
			break
		}
	}
	lines := []string{fmt.Sprintf("Via:[$via%d]", n), fmt.Sprintf("From:[$from%d]", n), to, "[last_Call-ID:]", fmt.Sprintf("CSeq:[$cseq%d]", n)}
	if (method == "INVITE" || method == "UPDATE") && !slices.Contains(more, noContact) {
		lines = append(lines, flowContact)
	}
	more = slices.DeleteFunc(more, func(h string) bool { return h == noContact })
	if rel {
		w.rseq++
		lines = append(lines, "Require: 100rel", fmt.Sprintf("RSeq: %d", w.rseq))
	}
	w.message(rel || method == "INVITE" && status >= 200, fmt.Sprintf("SIP/2.0 %d Flow", status), append(lines, more...), body)
	return nil
}

func (w *flowWriter) await(what, method, body string, response, rel, optional bool, checks []string) {
	attrs := "request=\"" + what + "\""
	if response {
		attrs = "response=\"" + what + "\""
	}
	if what == "INVITE" || response && method == "INVITE" {
		attrs += " rrs=\"true\""
	}
	if w.auth {
		attrs += " auth=\"true\""
	}
	if optional {
		attrs += " optional=\"true\""
	}
	fmt.Fprintf(&w.b, "  <recv %s><action>\n", attrs)
	grab := func(header, into string) {
		fmt.Fprintf(&w.b, "    <ereg regexp=\".*\" search_in=\"hdr\" header=\"%s:\" assign_to=%q/>\n", header, into)
		w.vars = append(w.vars, into)
	}
	check := func(header, pattern, into string) {
		fmt.Fprintf(&w.b, "    <ereg regexp=%q search_in=\"hdr\" header=\"%s:\" check_it=\"true\" assign_to=%q/>\n", pattern, header, into)
	}
	if response {
		check("CSeq", "[0-9]+ "+method, w.variable("c"))
		if n, _ := strconv.Atoi(what); n >= 200 && method == "INVITE" {
			w.status, w.up = n, w.up || n < 300
		}
		if n, _ := strconv.Atoi(what); w.several && method == "INVITE" && n > 100 && n < 300 {
			w.early = true
			fmt.Fprintf(&w.b, "    <ereg regexp=\";tag=([^;>]*)\" search_in=\"hdr\" header=\"To:\" check_it=\"true\" assign_to=\"whole%[1]s,tag%[1]s\"/>\n", w.letter)
			w.vars = append(w.vars, "whole"+w.letter, "tag"+w.letter)
		}
		if rel {
			w.needRSeq = w.variable("rseq")
			check("RSeq", "[0-9]+", w.needRSeq)
			check("Require", "100rel", w.variable("c"))
		}
	} else {
		n := w.n
		w.n++
		w.came[what] = n
		for header, into := range map[string]string{"Via": "via", "From": "from", "To": "to", "CSeq": "cseq"} {
			grab(header, fmt.Sprintf("%s%d", into, n))
		}
		if what == "PRACK" {
			check("RAck", fmt.Sprintf("^ *%d [0-9]+ INVITE", w.rseq), w.variable("c"))
		}
	}
	if body != "" {
		fmt.Fprintf(&w.b, "    <ereg regexp=\"m=audio\" search_in=\"msg\" check_it=\"true\" assign_to=%q/>\n", w.variable("c"))
		if body != "sendrecv" {
			fmt.Fprintf(&w.b, "    <ereg regexp=\"a=%s\" search_in=\"msg\" check_it=\"true\" assign_to=%q/>\n", body, w.variable("c"))
		}
	}
	for _, c := range checks {
		if strings.HasPrefix(c, "a=") {
			fmt.Fprintf(&w.b, "    <ereg regexp=%q search_in=\"msg\" check_it=\"true\" assign_to=%q/>\n", c, w.variable("c"))
			continue
		}
		header, pattern, _ := strings.Cut(c, ": ")
		check(header, pattern, w.variable("c"))
	}
	w.b.WriteString("  </action></recv>\n")
}
