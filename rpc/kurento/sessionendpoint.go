package kurento

import "github.com/patchbay/patchbay/rpc"

// SessionEndpoint is what every endpoint embeds that has a session with a peer.
type SessionEndpoint struct{ Element }

func (k *Core) sessionEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "SessionEndpoint", Extends: k.Endpoint, Abstract: true,
		Events: []string{"MediaSessionTerminated", "MediaSessionStarted"}}
}
