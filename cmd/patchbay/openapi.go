package main

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/doctor"
)

const openAPIPath = "/api/v1/openapi.json"

// endpoint is a method of an address of the REST interface, as its document tells of it.
type endpoint struct {
	method, path string // below /api/v1
	id, about    string
	params       []apiParam
	body         any // a value of the type that is expected; nil = none
	answers      []answer
	access       []map[string][]string // of OpenAPI's security requirements
}

type apiParam struct {
	name, in, about string
	schema          map[string]any
}

// answer is what comes with a status. A value of the type that JSON has, nil = no body, or content of other types.
type answer struct {
	status int
	about  string
	value  any
	other  []string // content types beside JSON
}

// forPrograms is who may ask: programs on the gateway's own host, and those with a token of the settings.
func forPrograms() []map[string][]string {
	return []map[string][]string{{}, {"token": {}}, {"query": {}}}
}

func forAnybody() []map[string][]string { return []map[string][]string{{}} }
func forUsers() []map[string][]string   { return []map[string][]string{{"login": {}}} }

func problemAnswer(status int, about string) answer {
	return answer{status: status, about: about, value: apiProblem{}}
}

// apiProblem is the body of every answer that isn't a success.
type apiProblem struct {
	Error string `json:"error"`
}

type digitsBody struct {
	Leg    int    `json:"leg"`
	Digits string `json:"digits"`
}

type testBody struct {
	Timeout string `json:"timeout,omitempty"`
	Call    string `json:"call,omitempty"`
}

type loginBody struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// reportAnswer is what report.Report is as JSON.
type reportAnswer struct {
	Report    string           `json:"report"`
	From      time.Time        `json:"from"`
	To        time.Time        `json:"to"`
	Zone      string           `json:"zone"`
	By        []string         `json:"by"`
	Source    string           `json:"source"`
	Columns   []report.Column  `json:"columns"`
	Rows      []map[string]any `json:"rows"`
	Total     *map[string]any  `json:"total"`
	Truncated bool             `json:"truncated"`
}

// endpoints are all of the REST interface. A test holds them to the handlers.
func endpoints() []endpoint {
	text := map[string]any{"type": "string"}
	id := apiParam{"id", "path", "Id of the call.", map[string]any{"type": "string", "format": "uuid"}}
	trunk := apiParam{"id", "path", "Id of the trunk.", text}
	none := answer{status: 204, about: "Done."}
	ok := func(about string, v any) answer { return answer{status: 200, about: about, value: v} }
	noCall := problemAnswer(404, "No such call runs.")
	bad := problemAnswer(400, "The error says what is wrong and what was expected.")
	foreign := problemAnswer(403, "Who asks may not; the error says why.")
	list := []endpoint{
		{"get", "/calls", "calls", "Running calls, the oldest first.", nil, nil, []answer{ok("The calls.", []gateway.Live{}), foreign}, forPrograms()},
		{"delete", "/calls/{id}", "hangUp", "Hang up a call.", []apiParam{id}, nil, []answer{none, bad, foreign, noCall, problemAnswer(409, "The call can't be hung up now.")}, forPrograms()},
		{"post", "/calls/{id}/digits", "sendDigits", "Send DTMF digits to a party of a call.", []apiParam{id}, digitsBody{},
			[]answer{none, bad, foreign, noCall, problemAnswer(409, "The leg takes no digits now.")}, forPrograms()},
		{"get", "/trunks", "trunks", "Trunks and their registrations.", nil, nil, []answer{ok("The trunks.", []gateway.TrunkStatus{}), foreign}, forPrograms()},
		{"post", "/trunks/{id}/test", "testTrunk", "Examine a trunk: what works, what doesn't, and why.", []apiParam{trunk}, testBody{},
			[]answer{ok("What was found.", doctor.Report{}), bad, foreign, problemAnswer(404, "There is no such trunk."), problemAnswer(409, "The trunk can't be examined now.")}, forPrograms()},
		{"get", "/users", "users", "Users who are registered.", nil, nil, []answer{ok("Their ids.", []string{}), foreign}, forPrograms()},
		{"get", "/locks", "locks", "Accounts that may not call through trunks any more.", nil, nil, []answer{ok("The accounts.", []gateway.Lock{}), foreign}, forPrograms()},
		{"delete", "/locks/{account}", "unlock", "Unlock an account.", []apiParam{{"account", "path", "user:ID or tenant:ID.", text}}, nil,
			[]answer{none, foreign, problemAnswer(404, "No such account is locked.")}, forPrograms()},
		{"get", "/openapi.json", "document", "This document.", nil, nil, []answer{ok("OpenAPI 3.1.", map[string]any{}), foreign}, forPrograms()},
		{"get", "/reports", "reports", "Reports that can be asked for.", nil, nil, []answer{ok("Their names, columns and dimensions.", reportList{}), foreign}, forPrograms()},
		{"get", "/reports/{name}", "report", "What calls came to. With progress=true lines of NDJSON tell how far it has come; then come the rows or, with format=json, the report as one line.", reportParams(), nil,
			[]answer{{200, "The report; money is decimal strings. NDJSON has a row a line, CSV no total; if limit left rows out, the header Patchbay-Truncated is true.", reportAnswer{}, []string{"application/x-ndjson", "text/csv", "text/plain"}},
				bad, foreign, problemAnswer(404, "There is no such report."), problemAnswer(503, "Too many ask at once, or the database is away.")}, forPrograms()},
	}
	return append(list, meEndpoints(bad)...)
}

// meEndpoints are those of users' pages.
func meEndpoints(bad answer) []endpoint {
	limit := apiParam{"limit", "query", "At most so many calls.", map[string]any{"type": "integer", "minimum": 1, "maximum": pastLimit, "default": pastNormal}}
	wrong := problemAnswer(401, "The login, or its token, is wrong.")
	return []endpoint{
		{"post", "/me/login", "login", "Log in as a user of the settings.", nil, loginBody{}, []answer{{status: 200, about: "A token, and what a page needs to register.", value: loggedIn{}}, bad, wrong,
			problemAnswer(413, "The body is too large."), problemAnswer(415, "The body isn't JSON."), problemAnswer(429, "Too many wrong passwords.")}, forAnybody()},
		{"post", "/me/logout", "logout", "End a token.", nil, nil, []answer{{status: 204, about: "Done."}, wrong}, forUsers()},
		{"get", "/me/calls", "myCalls", "The user's last calls, the newest first.", []apiParam{limit}, nil,
			[]answer{{status: 200, about: "The calls.", value: []pastCall{}}, bad, wrong, problemAnswer(503, "Records can't be read now.")}, forUsers()},
	}
}

func reportParams() []apiParam {
	out := []apiParam{{"name", "path", "Of the report.", map[string]any{"type": "string", "enum": report.Names()}}}
	for _, p := range report.Params() {
		s := map[string]any{"type": "string"}
		switch p.Name {
		case "limit":
			s = map[string]any{"type": "integer", "minimum": 1, "maximum": report.MaxRows}
		case "step":
			s = map[string]any{"type": "integer", "minimum": 1}
		case "source":
			s["enum"] = []string{"auto", "calls"}
		}
		out = append(out, apiParam{p.Name, "query", p.About, s})
	}
	return append(out, apiParam{"format", "query", "Of the answer.", map[string]any{"type": "string", "enum": report.Formats(), "default": report.JSON}},
		apiParam{"progress", "query", "With format=ndjson or json: lines {\"progress\": {\"done\": 1, \"of\": 31}} before the answer, and {\"error\": \"…\"} instead of it if it fails then.", map[string]any{"type": "string", "enum": []string{"true", "false"}}})
}

// openAPI is the document (OpenAPI 3.1).
func openAPI() map[string]any {
	paths := map[string]any{}
	for _, e := range endpoints() {
		item, _ := paths["/api/v1"+e.path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths["/api/v1"+e.path] = item
		}
		item[e.method] = e.operation()
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "Patchbay", "version": "1", "license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "What runs, what calls came to, and what a user's page asks. Programs on the gateway's own host need no token; others need one of the settings with the role admin, for reports billing is enough."},
		"servers": []any{map[string]any{"url": "/"}},
		"paths":   paths,
		"components": map[string]any{"securitySchemes": map[string]any{
			"token": map[string]any{"type": "http", "scheme": "bearer", "description": "A token of the settings."},
			"query": map[string]any{"type": "apiKey", "in": "query", "name": "access_token", "description": "The same in the address."},
			"login": map[string]any{"type": "http", "scheme": "bearer", "description": "A token that login gave."},
		}},
	}
}

func (e endpoint) operation() map[string]any {
	op := map[string]any{"operationId": e.id, "summary": e.about, "security": e.access}
	var params []any
	for _, p := range e.params {
		params = append(params, map[string]any{"name": p.name, "in": p.in, "required": p.in == "path", "description": p.about, "schema": p.schema})
	}
	if params != nil {
		op["parameters"] = params
	}
	if e.body != nil {
		op["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": schemaOf(reflect.TypeOf(e.body))}}}
	}
	responses := map[string]any{}
	for _, a := range e.answers {
		r := map[string]any{"description": a.about}
		content := map[string]any{}
		if a.value != nil {
			content["application/json"] = map[string]any{"schema": schemaOf(reflect.TypeOf(a.value))}
		}
		for _, t := range a.other {
			content[t] = map[string]any{"schema": map[string]any{"type": "string"}}
		}
		if len(content) > 0 {
			r["content"] = content
		}
		responses[strconv.Itoa(a.status)] = r
	}
	op["responses"] = responses
	return op
}

// schemaOf is the JSON Schema of what encoding/json makes of a type. Objects have the members that it has, and no others.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t.Kind() == reflect.Pointer: // also one to what writes itself: it may be null
		s := schemaOf(t.Elem())
		s["type"] = []any{s["type"], "null"}
		return s
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map, reflect.Interface:
		return map[string]any{"type": "object"}
	case reflect.Struct:
		return structSchema(t)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		return map[string]any{"type": "string"}
	default:
		return map[string]any{"type": "integer"}
	}
}

func structSchema(t reflect.Type) map[string]any {
	members, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		members[name] = schemaOf(f.Type)
		if !strings.Contains(rest, "omit") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": members, "required": required, "additionalProperties": false}
}

// serveOpenAPI answers with the document.
func serveOpenAPI() http.HandlerFunc {
	doc, err := json.Marshal(openAPI())
	return func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			problem(w, http.StatusInternalServerError, "the document can't be written")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(doc, '\n'))
	}
}
