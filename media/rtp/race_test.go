//go:build race

package rtp

// racing: the detector has pools forget at random what was put back, those of AES among them.
const racing = true
