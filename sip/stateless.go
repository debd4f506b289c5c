package sip

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// hears tells whether a request that begins something at a UA with users is worth a transaction. Nothing is held of who
// hasn't shown that it gets what we send to its address: what it sends is refused or challenged without state (RFC 3261 8.2.7,
// 26.3.2.4), however often it comes.
func (u *UA) hears(fl *flow.Flow, m *wire.Message) bool {
	if ref := m.Refuse(u.policy()); ref != nil {
		u.answer(fl, m, ref.Status, ref.Phrase(), ref.Extra)
		return false
	}
	proxy := m.Method == "INVITE"
	if wait := u.front.suspects.wait(originOf(fl), u.users.Claimed(proxy, m.Headers)); wait > 0 {
		u.banned(fl, m, wait)
		return false
	}
	if result := u.users.Glance(fl.Remote().Addr(), proxy, m.Headers); result != auth.OK {
		u.count.challenged.Add(1)
		status, challenge := u.challenge(fl, m, proxy, result)
		u.answer(fl, m, status, "", challenge)
		return false
	}
	return true
}

// challenge is how credentials are asked for.
func (u *UA) challenge(fl *flow.Flow, m *wire.Message, proxy bool, result auth.Result) (status int, h []Header) {
	status = 401
	if proxy {
		status = 407
	}
	tried := u.users.Claimed(proxy, m.Headers) != ""
	if u.users.Several() && (u.users.Simple(m.Headers.Get("User-Agent")) || u.front.puzzled.asked(askerOf(fl, m), tried)) {
		return status, u.users.ChallengeSimply(fl.Remote().Addr(), proxy, result.Stale())
	}
	return status, u.users.Challenge(fl.Remote().Addr(), proxy, result.Stale())
}

// banned refuses a request of who gave too many wrong passwords. A connection's peer has shown that it is there, and is told,
// the same for each name; over UDP silence costs who guesses more.
func (u *UA) banned(fl *flow.Flow, m *wire.Message, wait time.Duration) {
	u.front.drops.add(DropSuspect)
	if fl.Reliable() {
		u.answer(fl, m, 503, "Too Many Wrong Credentials", []Header{{Name: "Retry-After", Value: strconv.Itoa(int(wait/time.Second) + 1)}})
	}
}

// answer sends a final response outside of any transaction.
func (u *UA) answer(fl *flow.Flow, m *wire.Message, status int, phrase string, extra []Header) {
	if phrase == "" {
		phrase = wire.Phrase(status)
	}
	res := wire.Respond(m, fl.Remote(), status, phrase, u.front.statelessTag(m), u.stamp(extra), nil)
	if err := u.write(fl, res, "", status); err != nil {
		u.log.Debug("answer not sent", "status", status, "err", err)
	}
}

// statelessTag is the same for a request each time that it comes, and for the ACK of its answer.
func (f *Front) statelessTag(m *wire.Message) string {
	h := hmac.New(sha256.New, f.secret[:])
	h.Write([]byte(m.Key("")))
	return hex.EncodeToString(h.Sum(nil)[:8])
}
