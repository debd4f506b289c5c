package kurento

import "strings"

// dscp is the mark that a value stands for (RFC 8837 5 for what is named by its use; the priorities of Chrome as it marks them), -1 = none, 0 = the
// server's own.
func (v DSCPValue) dscp() int {
	switch v {
	case DSCPValueNoValue:
		return 0
	case DSCPValueLe:
		return 1
	case DSCPValueAudioVerylow, DSCPValueVideoVerylow, DSCPValueDataVerylow, DSCPValueChromeVerylow:
		return 8
	case DSCPValueAudioMedium, DSCPValueAudioHigh, DSCPValueEf:
		return 46
	case DSCPValueVideoMedium, DSCPValueVideoHighThroughput, DSCPValueChromeMedium:
		return 36
	case DSCPValueVideoMediumThroughput:
		return 38
	case DSCPValueVideoHigh, DSCPValueChromeHigh:
		return 34
	case DSCPValueDataMedium:
		return 10
	case DSCPValueDataHigh:
		return 18
	case DSCPValueVoiceadmit:
		return 44
	}
	if n, ok := strings.CutPrefix(string(v), "CS"); ok && n != "0" { // RFC 2474 4.2.2
		return 8 * int(n[0]-'0')
	}
	if n, ok := strings.CutPrefix(string(v), "AF"); ok { // RFC 2597 6
		return 8*int(n[0]-'0') + 2*int(n[1]-'0')
	}
	return -1 // NO_DSCP, CS0, and what is low: best effort
}
