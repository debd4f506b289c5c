package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"time"
)

// iceServer is an RTCIceServer of WebRTC's API (W3C webrtc 4.2.4).
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// iceServers are those that a user's browser is told. TURN credentials are those of "A REST API For Access To TURN
// Services" (draft-uberti-behave-turn-rest-00 2.2), which coturn calls use-auth-secret: the name begins with the second
// at which they end, and the HMAC-SHA1 of it with the server's secret is the password.
func (c *Config) iceServers(user string, now time.Time) []iceServer {
	list := []iceServer{}
	if len(c.STUN) > 0 {
		list = append(list, iceServer{URLs: c.STUN})
	}
	if len(c.TURN.URLs) > 0 {
		name := strconv.FormatInt(now.Add(c.TURN.TTL).Unix(), 10) + ":" + user
		mac := hmac.New(sha1.New, []byte(c.TURN.Secret))
		mac.Write([]byte(name))
		list = append(list, iceServer{URLs: c.TURN.URLs, Username: name, Credential: base64.StdEncoding.EncodeToString(mac.Sum(nil))})
	}
	return list
}
