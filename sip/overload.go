package sip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// Overload control of RFC 7339 with its one standard algorithm: a server that is near its limits asks, in the Via of its responses, for a
// part of new requests to be held back. We hold back calls; what is within dialogs, calls for help, REGISTER and OPTIONS go.
const (
	ocOffer    = `;oc;oc-algo="loss"` // of a request's Via: we would listen
	ocValidity = time.Second          // of what we ask for: whoever hears nothing more of it is free again
	ocDefault  = 500 * time.Millisecond
	ocServers  = 1024 // whose wishes are remembered
)

// ErrReduced says that a server has asked for fewer calls (RFC 7339), and that this is one of those that it doesn't get.
var ErrReduced = errors.New("sip: the server has asked for fewer calls")

// OverloadConfig is how a UA takes part in overload control (RFC 7339).
type OverloadConfig struct {
	// Heed has servers told that we hold back calls when they ask for it, and does so.
	Heed bool
	// Reduce tells how many of a hundred new calls peers are to hold back now; 0: none. Only those are told that know overload
	// control. nil: nobody is. It is asked for each response to such a peer and must not block.
	Reduce func() int
}

// wish is what one server asks for.
type wish struct {
	percent int
	until   time.Time
	seq     float64
}

// wishes are what servers ask for.
type wishes struct {
	mu   sync.Mutex
	by   map[netip.AddrPort]wish
	said int64 // number of our own last wish, in units of 10 µs
}

// learn reads the topmost Via of a server's response, which is ours (RFC 7339 4).
func (w *wishes) learn(server netip.AddrPort, via string, now time.Time) {
	if !strings.Contains(via, "oc=") {
		return
	}
	asked := wish{until: now.Add(ocDefault)}
	for _, p := range wire.SplitParams(via)[1:] {
		name, v, _ := strings.Cut(p, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "oc":
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 || n > 100 {
				return
			}
			asked.percent = n
		case "oc-algo":
			if !strings.EqualFold(wire.Unquote(v), "loss") {
				return
			}
		case "oc-validity":
			ms, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return
			}
			asked.until = now.Add(min(time.Duration(ms)*time.Millisecond, asideMost))
		case "oc-seq":
			seq, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return
			}
			asked.seq = seq
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.by[server]; ok && asked.seq != 0 && asked.seq <= old.seq {
		return // an older response that was overtaken
	}
	if w.by == nil || len(w.by) >= ocServers {
		w.by = map[netip.AddrPort]wish{}
	}
	w.by[server] = asked
}

// number is oc-seq of our next wish: the time in seconds with five digits, the most there may be (RFC 7339 9), and above the one before.
func (w *wishes) number(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = max(w.said+1, now.UnixMicro()/10)
	return fmt.Sprintf("%d.%05d", w.said/100000, w.said%100000)
}

// without are the places that get the next call; ErrReduced if none does. draw is a number from 0 to 99.
func (w *wishes) without(list []place, now time.Time, draw func() int) ([]place, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.by) == 0 {
		return list, nil
	}
	var out []place
	for _, p := range list {
		asked, ok := w.by[p.Addr]
		if !ok || p.flow != nil || !now.Before(asked.until) || draw() >= asked.percent {
			out = append(out, p)
		}
	}
	if len(out) == 0 && len(list) > 0 {
		return nil, ErrReduced
	}
	return out, nil
}

// available are the servers of a list that take a call now.
func (u *UA) available(list []place) ([]place, error) {
	list, err := u.aside.without(list)
	if err != nil {
		return nil, err
	}
	return u.wishes.without(list, time.Now(), func() int { return rand.IntN(100) })
}

// reduce writes into the topmost Via of a request, which its responses repeat, what we ask its sender for, if that knows overload control.
func (u *UA) reduce(m *wire.Message, now time.Time) {
	ask := u.cfg.Overload.Reduce
	if ask == nil || len(m.Vias) == 0 || !strings.Contains(m.Vias[0], "oc") {
		return
	}
	var out []string
	knows, loss := false, true
	for _, p := range wire.SplitParams(m.Vias[0]) {
		name, v, _ := strings.Cut(p, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "oc":
			knows = true
		case "oc-algo":
			loss = false
			for a := range strings.SplitSeq(wire.Unquote(strings.TrimSpace(v)), ",") {
				loss = loss || strings.EqualFold(strings.Trim(strings.TrimSpace(a), `"`), "loss")
			}
		case "oc-validity", "oc-seq":
		default:
			out = append(out, p)
		}
	}
	percent := min(max(ask(), 0), 100)
	if !knows || !loss {
		return
	}
	validity := ocValidity
	if percent == 0 {
		validity = 0 // what was asked for before is over
	}
	out = append(out, "oc="+strconv.Itoa(percent), `oc-algo="loss"`, "oc-validity="+strconv.FormatInt(validity.Milliseconds(), 10),
		"oc-seq="+u.wishes.number(now))
	m.Vias[0] = strings.Join(out, ";")
}
