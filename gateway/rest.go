package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media/udp"
)

// Ports tells how many pairs of ports each media address has left.
func (g *Gateway) Ports() map[string]udp.PortsStats {
	out := map[string]udp.PortsStats{}
	for _, mp := range g.ports {
		out[mp.Bind.String()] = mp.ports.Stats()
	}
	return out
}

// Handler is the REST interface to what runs now. Whoever mounts it decides who may ask.
//
//	GET    /calls               running calls
//	DELETE /calls/ID            hang up
//	POST   /calls/ID/digits     {"leg": 2, "digits": "159#"}
//	GET    /trunks              trunks and their registrations
//	POST   /trunks/ID/test      {"timeout": "15s", "call": ""}: examine a trunk; see package doctor
//	GET    /users               users who are online
//	GET    /locks               accounts that may not call through trunks any more
//	DELETE /locks/ACCOUNT       unlock one: user:ID or tenant:ID
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, list(g.Live())) })
	mux.HandleFunc("DELETE /calls/{id}", g.restHangup)
	mux.HandleFunc("POST /calls/{id}/digits", g.restDigits)
	mux.HandleFunc("GET /trunks", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, list(g.Status().Trunks)) })
	mux.HandleFunc("POST /trunks/{id}/test", g.restTest)
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, list(g.Status().Online)) })
	mux.HandleFunc("GET /locks", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, list(g.Locks())) })
	mux.HandleFunc("DELETE /locks/{account}", func(w http.ResponseWriter, r *http.Request) {
		if err := g.Unlock(r.PathValue("account")); err != nil {
			problem(w, http.StatusNotFound, fmt.Errorf("%q isn't locked: expected user:ID or tenant:ID of one that is", clip(r.PathValue("account"))))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// list keeps an empty list from being null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

func (g *Gateway) restHangup(w http.ResponseWriter, r *http.Request) {
	id, err := call.ParseID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	if err := g.Hangup(r.Context(), id); err != nil {
		g.failed(w, id, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) restDigits(w http.ResponseWriter, r *http.Request) {
	id, err := call.ParseID(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	var in struct {
		Leg    int    `json:"leg"`
		Digits string `json:"digits"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		problem(w, http.StatusBadRequest, errors.New(`body: expected {"leg": 1, "digits": "0-9*#A-D"}: `+err.Error()))
		return
	}
	if in.Digits == "" || len(in.Digits) > maxDigits || strings.Trim(in.Digits, "0123456789*#ABCD") != "" {
		problem(w, http.StatusBadRequest, fmt.Errorf("digits %q: expected 1 to %d of 0-9*#A-D", clip(in.Digits), maxDigits))
		return
	}
	if in.Leg < 1 {
		problem(w, http.StatusBadRequest, fmt.Errorf("leg %d: expected 1 (the caller) or the number of the leg that answered", in.Leg))
		return
	}
	if err := g.Digits(r.Context(), id, in.Leg, in.Digits); err != nil {
		g.failed(w, id, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) failed(w http.ResponseWriter, id call.ID, err error) {
	if errors.Is(err, ErrNoCall) {
		problem(w, http.StatusNotFound, errors.New("call "+id.String()+" isn't running"))
		return
	}
	problem(w, http.StatusConflict, err)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client is gone: nobody is left to tell
}

func problem(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}
