//go:build !linux

package udp

// A socket has no place where no loops are.
type (
	place struct{}
	home  struct{}

	queues  struct{}
	vectors struct{}
)

// share does nothing: a goroutine that blocks on its socket has no vectors.
func (n *Net) share(*Socket) {}

func newEngine(n *Net) (engine, error) { return newStreams(n) }

// The methods below are a loop's; a Socket here always has a stream, which
// does their work.

func (s *Socket) sendto([]byte, *Addr) error          { return ErrFull }
func (s *Socket) sendMarked([]byte, *Addr, int) error { return ErrFull }
func (s *Socket) unplace()                            {}
func (s *Socket) closeFD()                            {}
func (s *Socket) kernelDrops() uint64                 { return 0 }
