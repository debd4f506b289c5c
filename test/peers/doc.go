// Package peers drives the real programs that end-to-end tests talk to:
// baresip phones, a Kamailio registrar, SIPp, Postgres, and Patchbay itself.
//
// Each driver is started with a test and a Config, is ready when Start returns,
// logs into the test's folder, and is ended with its process group when the
// test ends. A test binary that calls Main runs in a network namespace of its
// own, so that addresses and ports belong to it alone.
package peers
