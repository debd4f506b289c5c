package kurentotest

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/patchbay/patchbay/rpc"
)

// Scoped is a client inside the program.
func Scoped(ctx context.Context, scope rpc.Scope) Client { return &scoped{ctx: ctx, scope: scope} }

type scoped struct {
	ctx   context.Context
	scope rpc.Scope

	mu    sync.Mutex
	heard []rpc.Event
}

func (c *scoped) Event(ev rpc.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, ev)
}

func (c *scoped) Events() []rpc.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.heard
	c.heard = nil
	return out
}

func (c *scoped) Create(class string, params map[string]any) (string, error) {
	b, err := encode(params)
	if err != nil {
		return "", err
	}
	o, err := c.scope.New(c.ctx, class, b)
	if err != nil {
		return "", rpc.Outside(err)
	}
	return o.ID(), nil
}

func (c *scoped) Invoke(object, op string, params map[string]any) (json.RawMessage, error) {
	b, err := encode(params)
	if err != nil {
		return nil, err
	}
	raw, err := c.scope.Invoke(c.ctx, object, op, b)
	if err != nil {
		return nil, rpc.Outside(err)
	}
	return raw, nil
}

func (c *scoped) Describe(object string) (rpc.Description, error) {
	d, err := c.scope.Describe(object)
	if err != nil {
		return d, rpc.Outside(err)
	}
	return d, nil
}

func (c *scoped) Subscribe(object, event string) (string, error) {
	id, err := c.scope.Subscribe(object, event, c)
	if err != nil {
		return "", rpc.Outside(err)
	}
	return id, nil
}

func (c *scoped) Release(object string) error {
	c.scope.Release(object)
	return nil
}

// encode leaves out what isn't there.
func encode(params map[string]any) ([]byte, error) {
	if params == nil {
		return nil, nil
	}
	return json.Marshal(params)
}
