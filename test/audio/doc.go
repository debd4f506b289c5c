// Package audio makes and measures test audio: WAV files, tones, a G.711
// reference chain, and the figures that a recording is judged by (level of a
// tone, gaps, delay, gain, segmental signal-to-noise ratio).
//
// Levels are dBFS of a sine: a sine whose peak is full scale (32767) has
// 0 dBFS, both when generated and when measured.
package audio
