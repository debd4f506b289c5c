package webtest

import (
	"context"
	"encoding/json"
)

// Terms are how the messages of a page's data channel travel, as the page has them.
type Terms struct {
	Label, Protocol string
	Ordered         bool
	Retransmits     int // how often a message that is lost is sent again; -1 = always
}

// Terms tells those of the data channel that was opened last.
func (c *Call) Terms(ctx context.Context) (t Terms, err error) {
	err = c.eval(ctx, &t, `const d = c.channel
		return {Label: d?.label ?? '', Protocol: d?.protocol ?? '', Ordered: d?.ordered ?? false, Retransmits: d?.maxRetransmits ?? -1}`)
	return t, err
}

// SayBytes sends a message of bytes on the data channel that was opened last. To the page that hears it it is "bytes 1,2,…".
func (c *Call) SayBytes(ctx context.Context, b []byte) error {
	list := make([]int, len(b)) // of bytes JSON would make base64
	for i, v := range b {
		list[i] = int(v)
	}
	numbers, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return c.eval(ctx, nil, "c.channel.send(new Uint8Array(%s))", numbers)
}

// CloseChannel closes the data channel that was opened last.
func (c *Call) CloseChannel(ctx context.Context) error { return c.eval(ctx, nil, "c.channel.close()") }

// Inbound is what came to the page of pictures: packets, and the bytes of their payloads.
type Inbound struct{ Packets, Bytes float64 }

// Inbound tells what came.
func (c *Call) Inbound(ctx context.Context) (n Inbound, err error) {
	err = c.eval(ctx, &n, `const s = [...(await c.pc.getStats()).values()].find(s => s.type === 'inbound-rtp' && s.kind === 'video')
		return {Packets: s?.packetsReceived ?? 0, Bytes: s?.bytesReceived ?? 0}`)
	return n, err
}
