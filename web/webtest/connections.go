package webtest

import "context"

// Connection is one RTCPeerConnection of a page: its state, and when things happened, in ms since the page began; 0: not yet.
type Connection struct {
	State     string  // connectionState
	Offered   float64 // the first local or remote description was set: the negotiation's beginning
	Agreed    float64 // the second one was: the path can be looked for
	Connected float64 // ICE and DTLS are through
}

// RelayOnly makes the page's connections from now on use relayed candidates alone, as if nothing else got through.
func (p *Page) RelayOnly(ctx context.Context) error {
	return p.Eval(ctx, `(() => {
		window.RTCPeerConnection = new Proxy(RTCPeerConnection, {construct(to, [configuration, ...more]) {
			return new to({...configuration, iceTransportPolicy: 'relay'}, ...more)
		}})
	})()`, nil)
}

// WatchConnections makes the page keep those that it makes from now on, in window.connections.
func (p *Page) WatchConnections(ctx context.Context) error {
	return p.Eval(ctx, `(() => {
		window.connections = []
		window.RTCPeerConnection = new Proxy(RTCPeerConnection, {construct(to, args) {
			const c = new to(...args), at = [0, 0, 0]
			for (const name of ['setLocalDescription', 'setRemoteDescription']) {
				const set = c[name]
				c[name] = (...description) => {
					const i = at.indexOf(0)
					if (i < 2) at[i] = performance.now()
					return set.apply(c, description)
				}
			}
			c.addEventListener('connectionstatechange', () => { if (c.connectionState === 'connected') at[2] ||= performance.now() })
			c.watched = at
			connections.push(c)
			return c
		}})
	})()`, nil)
}

// Connections are those that the page made since WatchConnections, in order.
func (p *Page) Connections(ctx context.Context) (list []Connection, err error) {
	err = p.Eval(ctx, `connections.map(c => ({State: c.connectionState, Offered: c.watched[0], Agreed: c.watched[1], Connected: c.watched[2]}))`, &list)
	return list, err
}
