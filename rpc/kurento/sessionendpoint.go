package kurento

import "github.com/patchbay/patchbay/rpc"

// SessionEndpoint is what every endpoint embeds that has a session with a peer.
type SessionEndpoint struct{ Element }

func (k *Core) sessionEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "SessionEndpoint", Doc: "Has a session with a peer.", Extends: k.Endpoint, Abstract: true,
		Events: []string{"MediaSessionTerminated", "MediaSessionStarted"}}
}

// Started tells that the session has begun: its terms are agreed.
func (e *SessionEndpoint) Started() { e.self.Post(MediaSessionStarted{}) }

// Terminated tells that the session is over though the endpoint isn't. A release doesn't tell.
func (e *SessionEndpoint) Terminated() { e.self.Post(MediaSessionTerminated{}) }
