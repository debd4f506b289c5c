package sdp

import (
	"strconv"
	"strings"
)

func (p *parser) readAttribute(sec *section, line, value string) error {
	key, v, _ := strings.Cut(value, ":")
	v = strings.TrimSpace(v)
	switch key {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		for d := SendRecv; d <= Inactive; d++ {
			if d.String() == key {
				sec.dir, sec.directed = d, true
			}
		}
	case "ptime", "maxptime":
		n, err := millis(v)
		if err != nil {
			return p.fail(line, "milliseconds from 1 to 1000")
		}
		if key == "ptime" {
			sec.ptime = n
		} else {
			sec.maxPtime = n
		}
	case "rtpmap", "fmtp":
		s, rest, ok := strings.Cut(v, " ")
		pt, err := strconv.ParseUint(s, 10, 8)
		if err != nil || pt > 127 || !ok {
			if key == "fmtp" { // formats that aren't RTP's have some too
				sec.rest = append(sec.rest, Attribute{key, v})
				return nil
			}
			return p.fail(line, "a payload type from 0 to 127, a space and a value")
		}
		return p.readType(sec, line, key, uint8(pt), strings.TrimSpace(rest))
	case "rtcp":
		sec.rtcp = v
		return p.checkControl(line, v)
	case "rtcp-mux":
		sec.mux = true
	case "crypto":
		sec.crypto = append(sec.crypto, v)
	default:
		sec.rest = append(sec.rest, Attribute{key, v})
	}
	return nil
}

// millis takes fractions too, which some peers send for codecs such as G.723.1 (RFC 4566 allows only integers).
func millis(s string) (int, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, err
	}
	if !(f >= 1 && f <= 1000) {
		return 0, strconv.ErrRange
	}
	return int(f), nil
}

func (p *parser) readType(sec *section, line, key string, pt uint8, value string) error {
	if key == "fmtp" {
		if sec.fmtp == nil {
			sec.fmtp = map[uint8]string{}
		}
		if old := sec.fmtp[pt]; old != "" {
			value = old + ";" + value
		}
		sec.fmtp[pt] = value
		return nil
	}
	if _, err := readMap(value); err != nil {
		return p.fail(line, "name/clock or name/clock/channels, clock from 1 to 999999 Hz, channels from 1 to 255")
	}
	if sec.rtpmap == nil {
		sec.rtpmap = map[uint8]string{}
	}
	sec.rtpmap[pt] = value
	return nil
}

// readMap reads what stands behind the payload type in a=rtpmap.
func readMap(value string) (Format, error) {
	part := strings.Split(value, "/")
	if len(part) < 2 || len(part) > 3 || part[0] == "" {
		return Format{}, strconv.ErrSyntax
	}
	f := Format{Codec: strings.ToUpper(part[0]), Channels: 1}
	var err error
	if f.Clock, err = strconv.Atoi(part[1]); err != nil || f.Clock < 1 || f.Clock > 999999 {
		return Format{}, strconv.ErrSyntax
	}
	if len(part) == 3 {
		if f.Channels, err = strconv.Atoi(part[2]); err != nil || f.Channels < 1 || f.Channels > 255 {
			return Format{}, strconv.ErrSyntax
		}
	}
	return f, nil
}

// checkControl checks a=rtcp: a port, and perhaps an address (RFC 3605 2.1).
func (p *parser) checkControl(line, v string) error {
	f := strings.Fields(v)
	if len(f) != 1 && len(f) != 4 {
		return p.fail(line, "a port, or a port, IN, IP4 or IP6, address")
	}
	if n, err := strconv.ParseUint(f[0], 10, 16); err != nil || n == 0 {
		return p.fail(line, "a port from 1 to 65535")
	}
	return nil
}
