package gateway

// deep is about what the stack of a goroutine comes to that sees a call through.
const deep = 12 << 10

// deepen makes the goroutine's stack as large as it will be. It would double step by step otherwise, and be copied each time with
// all that is on it by then: a tenth of what a call through the gateway costs.
//
//go:noinline
func deepen() byte {
	var room [deep]byte
	return *last(&room)
}

//go:noinline
func last(room *[deep]byte) *byte { return &room[deep-1] }
