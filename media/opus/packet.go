package opus

// longest is the most audio that a packet holds, in samples of the 48 kHz clock: 120 ms (RFC 6716 3.2.5).
const longest = Clock * 120 / 1000

// duration is how much audio a packet holds, in samples of the 48 kHz clock, by its first bytes (RFC 6716 3.1 and 3.2). 0 is
// not an Opus packet.
func duration(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	frames := 0
	switch p[0] & 3 {
	case 0:
		frames = 1
	case 1, 2:
		frames = 2
	default:
		if len(p) < 2 {
			return 0
		}
		frames = int(p[1] & 63)
	}
	if n := frames * frameLength(p[0]>>3); n <= longest {
		return n
	}
	return 0
}

// frameLength is the length of a frame of a configuration, in samples of the 48 kHz clock (RFC 6716 table 2).
func frameLength(config byte) int {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return 480 << (config & 1)
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}
