//go:build e2e

// Package e2e holds the stories: calls among real peers, measured. The tests of
// a story begin with its name: TestFirst…; those that begin with TestReference
// prove the instruments themselves, without Patchbay.
package e2e

import (
	"testing"

	"github.com/patchbay/patchbay/test/peers"
)

func TestMain(m *testing.M) { peers.Main(m, peers.MainConfig{}) }
