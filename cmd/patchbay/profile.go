package main

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// profilesPath is where profiles of this process are, in the form of `go tool pprof`.
const profilesPath = "/debug/pprof/"

// profiles tells where time and memory go: stacks and counts, nothing of what calls or messages hold. A CPU profile lasts 20 s
// at most, so that it is written before the server's patience ends. ?gc=1 with heap collects garbage first.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(profilesPath, pprof.Index)
	mux.HandleFunc(profilesPath+"profile", pprof.Profile)
	mux.HandleFunc(profilesPath+"trace", pprof.Trace)
	mux.HandleFunc(profilesPath+"cmdline", http.NotFound) // it may name files
	return mux
}

// adminOnly tells whether a path needs a token with the role admin, where there are tokens.
func adminOnly(path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, profilesPath)
}
