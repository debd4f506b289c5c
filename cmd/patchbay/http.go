package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// serveHTTP makes the server of a handler, for plain listeners and those over TLS. Its limits keep a peer that stalls
// at any point from holding more than a connection, for seconds.
func serveHTTP(h http.Handler, config *tls.Config, logger *slog.Logger) *http.Server {
	v := newVisitors()
	s := &http.Server{Handler: v.served(h), TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnState: v.state, ConnContext: v.context, ErrorLog: log.New(serverLog{logger}, "", 0), Protocols: new(http.Protocols)}
	// WebSocket is an upgrade of HTTP/1.1, and for a page and an API on a few connections HTTP/2 gains nothing.
	s.Protocols.SetHTTP1(true)
	return s
}

// serverLog is the HTTP server's own log. What strangers bring about by handshakes that they don't finish is for
// debugging alone: it comes with every scanner, and from every browser that hasn't yet been told to trust us.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(b []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(b, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, string(bytes.TrimRight(b, "\n")))
	return len(b), nil
}

func portOf(l net.Listener) uint16 {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return a.AddrPort().Port()
}
