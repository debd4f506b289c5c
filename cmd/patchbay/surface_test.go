package main

import (
	"os"
	"testing"

	"github.com/patchbay/patchbay/rpc/kurento"
	"github.com/patchbay/patchbay/rpc/kurento/kurentotest"
)

// The running process has Kurento's surface, as its clients meet it.
func TestKurentoSurface(t *testing.T) {
	s := startServer(t)
	table, err := os.ReadFile("../../rpc/kurento/testdata/api.json")
	if err != nil {
		t.Fatal(err)
	}
	api, err := kurentotest.ReadTable(table)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kurentotest.Dial(t.Context(), "ws://"+s.plain+"/kurento")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	has := kurento.Config{
		Room:     newRoom,
		RTP:      func(kurento.RTPOptions) (kurento.RTP, error) { return nil, nil },
		WebRTC:   func(kurento.WebRTCOptions) (kurento.WebRTC, error) { return nil, nil },
		Player:   func(kurento.PlayerOptions) (kurento.Player, error) { return nil, nil },
		Post:     func(kurento.PostOptions) (kurento.Post, error) { return nil, nil },
		Recorder: func(kurento.RecorderOptions) (kurento.Recorder, error) { return nil, nil },
	}
	kurentotest.Surface(t, kurentotest.Config{Table: api, Missing: api.Creatable(has.Missing()), Values: map[string]any{
		"WebRtcEndpoint.networkInterfaces": "lo", "WebRtcEndpoint.turnUrl": "user:password@127.0.0.1:3478",
		"WebRtcEndpoint.externalIPv4": "203.0.113.1", "WebRtcEndpoint.externalIPv6": "2001:db8::1", "BaseRtpEndpoint.mtu": 1200.0,
	}}, client)
}
