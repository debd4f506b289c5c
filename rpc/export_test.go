package rpc

import "time"

// Feed handles messages as those of one connection without a socket, and returns what would be sent.
func (s *Server) Feed(who Principal, msgs ...[]byte) [][]byte {
	c, err := s.admit(who)
	if err != nil {
		return nil
	}
	defer s.dismiss(c)
	for _, m := range msgs {
		c.take(m)
	}
	for s.busy() {
		time.Sleep(50 * time.Microsecond)
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.queue
}

func (s *Server) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.sessions {
		if x.pending.Load() != 0 {
			return true
		}
	}
	return false
}
