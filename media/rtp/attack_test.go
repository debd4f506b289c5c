package rtp

import "testing"

// TestAttack is what strangers try on a call's media, each of which must fail; docs/sip.md lists them.
func TestAttack(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"rtp_spray_before_during_after":  strangerSprays,
		"srtp_replay_forgery_plain":      strangersWithSRTP,
		"srtp_downgrade_and_null_cipher": srtpDowngrade,
	} {
		t.Run("attack_"+name, run)
	}
}
