package kurento

import "testing"

// Each value has its code point, and none is another's by accident.
func TestDSCP(t *testing.T) {
	for v, want := range map[DSCPValue]int{
		"NO_DSCP": -1, "NO_VALUE": 0, "CS0": -1, "CS1": 8, "CS5": 40, "CS7": 56, "AF11": 10, "AF12": 12, "AF13": 14, "AF23": 22, "AF31": 26, "AF41": 34, "AF42": 36,
		"AF43": 38, "EF": 46, "VOICEADMIT": 44, "LE": 1, "AUDIO_LOW": -1, "AUDIO_MEDIUM": 46, "VIDEO_HIGH": 34, "DATA_HIGH": 18, "CHROME_LOW": -1, "CHROME_HIGH": 34,
	} {
		if got := v.dscp(); got != want {
			t.Errorf("%s is %d, want %d", v, got, want)
		}
	}
}
