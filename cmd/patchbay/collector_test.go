package main

import "testing"

func TestMemoryIsGivenBack(t *testing.T) {
	const MiB = 1 << 20
	var s spare
	s.due(20*MiB, 10*MiB)
	s.left = 10 * MiB
	for i, c := range []struct {
		held, allocated uint64
		want            bool
	}{
		{80 * MiB, 80 * MiB, false}, // still at work
		{80 * MiB, 81 * MiB, true},
		{26 * MiB, 82 * MiB, false}, // not worth it
		{27 * MiB, 83 * MiB, true},
	} {
		if got := s.due(c.held, c.allocated); got != c.want {
			t.Errorf("look %d: %t, expected %t", i, got, c.want)
		}
	}
	if held, allocated := heapNow(); held == 0 || allocated == 0 {
		t.Errorf("%d bytes held, %d allocated", held, allocated)
	}
}
