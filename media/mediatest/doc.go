// Package mediatest is the conformance suite of elements, sinks and endpoints, and what tests of media need beside: a sink
// that records, a source that says what it is told, tones. It is for tests only.
//
// Element and Sink look for leaked goroutines, so the test that calls them doesn't run in parallel with others.
package mediatest
