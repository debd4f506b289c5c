package kurentotest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
)

// WebSocket is a client across the network.
type WebSocket struct {
	ws   *websocket.Conn
	last int
	done chan struct{} // closed when nothing comes any more

	mu      sync.Mutex
	err     error
	replies map[int]chan reply
	heard   []rpc.Event
}

type reply struct {
	ID     *int            `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    rpc.Code `json:"code"`
		Message string   `json:"message"`
		Data    struct {
			Type string `json:"type"`
		} `json:"data"`
	} `json:"error"`
	Method string `json:"method"`
	Params struct {
		Value struct {
			Object string          `json:"object"`
			Type   string          `json:"type"`
			Data   json.RawMessage `json:"data"`
		} `json:"value"`
	} `json:"params"`
}

// Dial connects to a server at ws://…
func Dial(ctx context.Context, url string) (*WebSocket, error) {
	ws, response, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", url, err)
	}
	_ = response.Body.Close() // which is empty
	c := &WebSocket{ws: ws, done: make(chan struct{}), replies: map[int]chan reply{}}
	go c.read()
	return c, nil
}

// Close ends the connection.
func (c *WebSocket) Close() error {
	err := c.ws.Close()
	<-c.done
	return err
}

func (c *WebSocket) read() {
	defer close(c.done)
	for {
		var r reply
		if err := c.ws.ReadJSON(&r); err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		switch {
		case r.Method == "onEvent":
			v := r.Params.Value
			c.heard = append(c.heard, rpc.Event{Object: v.Object, Type: v.Type, Data: v.Data})
		case r.ID != nil && c.replies[*r.ID] != nil:
			c.replies[*r.ID] <- r
		}
		c.mu.Unlock()
	}
}

// call makes a request and returns the result.
func (c *WebSocket) call(method string, params map[string]any) (json.RawMessage, error) {
	c.mu.Lock()
	c.last++
	id, answer := c.last, make(chan reply, 1)
	c.replies[id] = answer
	c.mu.Unlock()
	if err := c.ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}); err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		if r.Error == nil {
			return r.Result, nil
		}
		if e := (&rpc.Error{Code: r.Error.Code, Message: r.Error.Message}); r.Error.Data.Type != e.Code.String() {
			return nil, fmt.Errorf("%s: code %d has the type %q, want %q", method, r.Error.Code, r.Error.Data.Type, e.Code)
		}
		return nil, &rpc.Error{Code: r.Error.Code, Message: r.Error.Message}
	case <-c.done:
		return nil, fmt.Errorf("%s: the connection ended: %w", method, c.err)
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("%s: no answer within 30 s", method)
	}
}

// value makes a request and reads its result's value.
func (c *WebSocket) value(method string, params map[string]any, into any) error {
	raw, err := c.call(method, params)
	if err != nil {
		return err
	}
	result := struct {
		Value     any    `json:"value"`
		SessionID string `json:"sessionId"`
	}{Value: into}
	if err := json.Unmarshal(raw, &result); err != nil || result.SessionID == "" {
		return fmt.Errorf("%s: result %s: %w", method, raw, err)
	}
	return nil
}

// Create makes an object.
func (c *WebSocket) Create(class string, params map[string]any) (id string, err error) {
	err = c.value("create", map[string]any{"type": class, "constructorParams": params}, &id)
	return id, err
}

// Invoke calls an operation.
func (c *WebSocket) Invoke(object, op string, params map[string]any) (raw json.RawMessage, err error) {
	request := map[string]any{"object": object, "operation": op}
	if params != nil {
		request["operationParams"] = params
	}
	err = c.value("invoke", request, &raw)
	if err == nil && raw == nil {
		raw = json.RawMessage("null")
	}
	return raw, err
}

// Describe tells an object's class.
func (c *WebSocket) Describe(object string) (d rpc.Description, err error) {
	raw, err := c.call("describe", map[string]any{"object": object})
	if err != nil {
		return d, err
	}
	err = json.Unmarshal(raw, &d)
	return d, err
}

// Subscribe asks for an event.
func (c *WebSocket) Subscribe(object, event string) (id string, err error) {
	err = c.value("subscribe", map[string]any{"object": object, "type": event}, &id)
	return id, err
}

// Release ends an object.
func (c *WebSocket) Release(object string) error {
	_, err := c.call("release", map[string]any{"object": object})
	return err
}

// Events are those that came since the last time.
func (c *WebSocket) Events() []rpc.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.heard
	c.heard = nil
	return out
}
