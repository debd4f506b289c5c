//go:build !race

package rtp

const racing = false
