package udp

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
)

// members knows the goroutines that call handlers. Close asks it whether it is
// called from inside a handler, where waiting for the handler would be waiting
// for itself. Go has no goroutine-local values, so they are told apart by the
// number that a stack trace begins with; this is read at Open, and at Close while a
// handler runs.
type members struct {
	mu  sync.Mutex
	ids map[uint64]struct{}
}

// join enters the calling goroutine and returns its number for leave.
func (m *members) join() uint64 {
	id := goroutine()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids = make(map[uint64]struct{})
	}
	m.ids[id] = struct{}{}
	return id
}

func (m *members) leave(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ids, id)
}

// inside reports whether the calling goroutine has joined.
func (m *members) inside() bool {
	id := goroutine()
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.ids[id]
	return ok
}

// goroutine is the number in the header "goroutine 18 [running]:".
func goroutine() uint64 {
	var b [64]byte
	s := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(s, []byte(" "))
	id, _ := strconv.ParseUint(string(digits), 10, 64)
	return id
}
