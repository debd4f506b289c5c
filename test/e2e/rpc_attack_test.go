//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

const (
	oneToken  = "one-token-of-at-least-24-characters"
	twoToken  = "two-token-of-at-least-24-characters"
	pastToken = "past-token-of-at-least-24-characters"
	readToken = "read-token-of-at-least-24-characters"
)

// knock opens a WebSocket with further header fields, and returns the status and what the body says; 101 if it was opened.
func knock(t *testing.T, url string, fields ...string) (status int, why string) {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	c, r, err := dialRPC(url, h)
	if err == nil {
		c.Close()
		return http.StatusSwitchingProtocols, ""
	}
	if r == nil {
		t.Fatalf("%s with %q: %v", url, fields, err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// Who isn't on this host, or comes through a proxy, by another name or from somebody's page, is refused before it is heard;
// so is a token that is wrong, over or somebody else's. What belongs to another tenant doesn't exist.
func TestRpcAttackDoors(t *testing.T) {
	g := startRPC(t, fmt.Sprintf(`tokens:
  - {id: one, tenant: one, secret: %s, roles: control}
  - {id: two, tenant: two, secret: %s, roles: control}
  - {id: past, tenant: one, secret: %s, roles: control, expires: 2020-01-01T00:00:00Z}
  - {id: reader, tenant: one, secret: %s, roles: read}
`, oneToken, twoToken, pastToken, readToken))
	for _, d := range []struct {
		name   string
		query  string
		fields []string
		status int
		says   string
	}{
		{"on this host, without a token", "", nil, 101, ""},
		{"its own page", "", []string{"Origin", "http://" + g.http.String()}, 101, ""},
		{"a page of another site", "", []string{"Origin", "https://evil.example"}, 403, "Origin"},
		{"a page of another site, with a token", "?access_token=" + oneToken, []string{"Origin", "https://evil.example"}, 403, "Origin"},
		{"a frame without an origin", "", []string{"Origin", "null"}, 403, "Origin"},
		{"a name that DNS points here", "", []string{"Host", "rebound.example:8888", "Origin", "http://rebound.example:8888"}, 403, "Host"},
		{"a name that DNS points here, from a program", "", []string{"Host", "rebound.example"}, 403, "Host"},
		{"through a proxy", "", []string{"X-Forwarded-For", "203.0.113.7"}, 403, "X-Forwarded-For"},
		{"through another proxy", "", []string{"Forwarded", "for=203.0.113.7"}, 403, "Forwarded"},
		{"through a proxy, with a token", "", []string{"X-Forwarded-For", "203.0.113.7", "Authorization", "Bearer " + oneToken}, 101, ""},
		{"a token in the address", "?access_token=" + oneToken, nil, 101, ""},
		{"a wrong token", "?access_token=" + strings.ToUpper(oneToken), nil, 401, "token"},
		{"a token that is over", "", []string{"Authorization", "Bearer " + pastToken}, 401, "expired"},
		{"two tokens", "?access_token=" + oneToken, []string{"Authorization", "Bearer " + twoToken}, 400, "token"},
	} {
		status, why := knock(t, g.url+d.query, d.fields...)
		if status != d.status || !strings.Contains(why, d.says) {
			t.Errorf("%s: %d %s, expected %d and %q", d.name, status, why, d.status, d.says)
		}
	}

	one, two := openRPC(t, g.url+"?access_token="+oneToken), openRPC(t, g.url+"?access_token="+twoToken)
	pipeline := one.create(t, "MediaPipeline", nil)
	element := one.create(t, "PassThrough", o{"mediaPipeline": pipeline})
	own := two.create(t, "MediaPipeline", nil)
	pass := two.create(t, "PassThrough", o{"mediaPipeline": own})
	two.refused(t, 40101, "describe", o{"object": pipeline})
	two.refused(t, 40101, "invoke", o{"object": pipeline, "operation": "getName"})
	two.refused(t, 40101, "subscribe", o{"object": element, "type": "Error"})
	two.refused(t, 40101, "create", o{"type": "PassThrough", "constructorParams": o{"mediaPipeline": pipeline}})
	two.refused(t, 40101, "invoke", o{"object": pass, "operation": "connect", "operationParams": o{"sink": element}})
	two.refused(t, 40101, "ref", o{"object": pipeline})
	if _, err := two.call("release", o{"object": pipeline}); err != nil { // as of an object that there isn't
		t.Errorf("release of another tenant's object: %v, expected success", err)
	}
	// A session id is its principal's: the same one of another is another session.
	two.refused(t, 40007, "connect", o{"sessionId": one.session})
	two.refused(t, 40007, "keepAlive", o{"sessionId": one.session})
	var pipelines []string
	if err := json.Unmarshal(two.invoke(t, manager, "getPipelines", nil), &pipelines); err != nil || len(pipelines) != 1 || pipelines[0] != own {
		t.Errorf("the other tenant sees pipelines %q, %v; expected its own, %s", pipelines, err, own)
	}
	reader := openRPC(t, g.url+"?access_token="+readToken)
	reader.invoke(t, pipeline, "getName", nil)
	reader.refused(t, 49403, "create", o{"type": "MediaPipeline"})
	reader.refused(t, 49403, "release", o{"object": pipeline})
	if got := one.text(t, "invoke", o{"object": element, "operation": "getName"}); got != element {
		t.Errorf("the element's name is %q after all that, expected %s", got, element)
	}
}

// breaks are what must not get into SIP: the ends of lines, and what else ends a header field or a URI.
func breaks() []string {
	return []string{"100\r\nX-Evil: 1", "100\n\nX", "100\r", "\x00", "100\x7f", "100\u0085X", "100\u2028X", "sip:100@test.local\r\nX-Evil: 1"}
}

// Every string that reaches SIP, as the module's own description lists them, is refused with line breaks in it, by its name,
// and nothing of it is on the wire.
func TestRpcAttackSIP(t *testing.T) {
	addr := address(t)
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{users: "  - {id: bob, password: builder-site-2, numbers: [\"100\"]}\n", more: "apps: [{id: page}]\n"})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-site-2", Domain: "test.local", Proxy: g.sip.String()})
	c := openRPC(t, fmt.Sprintf("ws://%s:8888/kurento", addr))
	pipeline := c.create(t, "MediaPipeline", nil)

	// A call that runs, for what can be asked of one.
	talking := c.create(t, "SipEndpoint", o{"mediaPipeline": pipeline})
	c.value(t, "subscribe", o{"object": talking, "type": "Answered"})
	c.invoke(t, talking, "dial", o{"to": "100"})
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	bob.Accept(t)
	c.expect(t, talking, "Answered", 10*time.Second)

	tried := refuseAll(t, c, pipeline, talking)
	if tried < 50 {
		t.Errorf("%d strings were tried, expected the module's description to list more", tried)
	}
	t.Logf("%d strings refused", tried)
	if _, err := c.call("release", o{"object": pipeline}); err != nil {
		t.Error(err)
	}
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	capture.Stop(t)
	for _, p := range capture.Packets() {
		if text := string(p.Data); strings.Contains(text, "Evil") {
			t.Errorf("on the wire from %s to %s: %.300q", p.Src, p.Dst, text)
		}
	}
	// None of it was a call.
	g.records(t, 1)
}

// sipClass is what the module's description says of SipEndpoint.
type sipClass struct {
	Name        string
	Constructor struct{ Params []kmdParam }
	Methods     []struct {
		Name   string
		Params []kmdParam
	}
}

func sipEndpoint(t *testing.T, c *rpcClient) sipClass {
	t.Helper()
	var kmd struct{ RemoteClasses []sipClass }
	text := c.text(t, "invoke", o{"object": manager, "operation": "getKmd", "operationParams": o{"moduleName": "telephony"}})
	if err := json.Unmarshal([]byte(text), &kmd); err != nil {
		t.Fatal(err)
	}
	for _, class := range kmd.RemoteClasses {
		if class.Name == "SipEndpoint" {
			return class
		}
	}
	t.Fatal("the module's description has no SipEndpoint")
	return sipClass{}
}

// refuseAll tries every text that a SipEndpoint can be given, talking being one with a call, and returns how many it tried.
func refuseAll(t *testing.T, c *rpcClient, pipeline, talking string) (tried int) {
	t.Helper()
	class := sipEndpoint(t, c)
	for _, p := range class.Constructor.Params {
		for _, bad := range p.breaks() {
			tried++
			// What an endpoint is made with is looked at when it is made, or when it dials.
			result, err := c.call("create", o{"type": "SipEndpoint", "constructorParams": o{"mediaPipeline": pipeline, p.Name: bad}})
			var made struct{ Value string }
			if err == nil && json.Unmarshal(result, &made) == nil {
				_, err = c.call("invoke", o{"object": made.Value, "operation": "dial", "operationParams": o{"to": "100"}})
			}
			named(t, "create", p.Name, bad, err)
		}
	}
	for _, m := range class.Methods {
		for i, p := range m.Params {
			for _, bad := range p.breaks() {
				tried++
				object := talking
				if m.Name == "dial" {
					object = c.create(t, "SipEndpoint", o{"mediaPipeline": pipeline})
				}
				params := o{p.Name: bad}
				for _, before := range m.Params[:i] { // an optional parameter counts only behind those before it
					params[before.Name] = before.good()
				}
				_, err := c.call("invoke", o{"object": object, "operation": m.Name, "operationParams": params})
				named(t, m.Name, p.Name, bad, err)
			}
		}
	}
	return tried
}

// named holds a refusal to naming the parameter, and to having no line break of its value.
func named(t *testing.T, what, param string, value any, err error) {
	t.Helper()
	e, ok := err.(*rpcError)
	switch {
	case !ok:
		t.Errorf("%s with %s %q: %v, expected an error of the server", what, param, value, err)
	case !strings.Contains(e.Message, param):
		t.Errorf("%s with %s %q: %q doesn't name the parameter", what, param, value, e.Message)
	case strings.ContainsAny(e.Message, "\r\n\x00"):
		t.Errorf("%s with %s %q: the line break is in the error: %q", what, param, value, e.Message)
	}
}

type kmdParam struct {
	Name, Type string
	Optional   bool
}

// breaks are values of the parameter's type with line breaks in them; none for types that hold no text.
func (p kmdParam) breaks() (out []any) {
	for i, s := range breaks() {
		switch p.Type {
		case "String":
			out = append(out, s)
			if i == 0 && p.Name == "to" { // escaped, in a URI
				out = append(out, "100%0d%0aX-Evil:1", "sip:100%0d%0aX-Evil:1@test.local")
			}
		case "String[]":
			out = append(out, []string{s})
		case "String<>":
			out = append(out, o{"X-Note": s}, o{"X-" + s: "1"})
		}
	}
	return out
}

// good is a value that the parameter may have.
func (p kmdParam) good() any {
	switch {
	case p.Name == "sipStatus":
		return 486
	case p.Name == "cause":
		return 17
	case p.Type == "int":
		return 1
	case p.Type == "boolean":
		return true
	case p.Type == "String<>":
		return o{}
	}
	return "100"
}
