package gateway

// What the stacks of goroutines come to: of one that sees a call through, and of one that relays a leg's events.
const (
	deepCall = 24 << 10
	deepLeg  = 6 << 10
)

// deepen makes the stack of a call's goroutine as large as it will be. It would double step by step otherwise, and be copied each
// time with all that is on it by then: a twentieth of what a call through the gateway costs.
//
//go:noinline
func deepen() byte {
	var room [deepCall]byte
	return *last(room[:])
}

// deepenLeg does the same for a leg's goroutine.
//
//go:noinline
func deepenLeg() byte {
	var room [deepLeg]byte
	return *last(room[:])
}

//go:noinline
func last(room []byte) *byte { return &room[len(room)-1] }
