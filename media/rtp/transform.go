package rtp

import (
	"encoding/binary"
	"errors"
	"fmt"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

// maxPayload keeps a packet with an SRTP tag below an Ethernet frame; PCMU at 60 ms has 480 bytes.
const maxPayload = 1400

// transform turns packets into protected ones and back (RFC 3711), with one side's keys for each way. open and openControl are
// called under the receiver's lock, seal and sealControl under the sender's.
type transform struct {
	in  *opener
	out *sealer
}

const (
	replayRTP  = 1024 // packets
	replayRTCP = 128
	maxSSRCs   = 64 // of one key: more aren't looked at, each would cost memory
)

var (
	errReused = errors.New("rtp: sequence number was sent already")
	errSSRCs  = fmt.Errorf("rtp: more than %d SSRCs under one key", maxSSRCs)
	errShort  = errors.New("rtp: packet is shorter than a header")
)

// suite is one of SRTP's in SDP.
type suite struct {
	name      string
	profile   srtp.ProtectionProfile
	key, salt int // bytes
}

// suites are those that we have, in the order in which they are offered: first what every phone knows, then what costs a third
// of that.
func suites() []suite {
	return []suite{
		{"AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14}, // RFC 4568 6.2.1
		{"AEAD_AES_128_GCM", srtp.ProtectionProfileAeadAes128Gcm, 16, 12},              // RFC 7714 14.1
		{"AEAD_AES_256_GCM", srtp.ProtectionProfileAeadAes256Gcm, 32, 12},
		{"AES_256_CM_HMAC_SHA1_80", srtp.ProtectionProfileAes256CmHmacSha1_80, 32, 14}, // RFC 6188 4
		{"AES_CM_128_HMAC_SHA1_32", srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14}, // RFC 4568 6.2.2
		{"AES_256_CM_HMAC_SHA1_32", srtp.ProtectionProfileAes256CmHmacSha1_32, 32, 14}, // RFC 6188 4
	}
}

// size is that of a master key with its salt.
func (s *suite) size() int { return s.key + s.salt }

// opener holds the peer's keys, its rollover counters and what came.
type opener struct {
	line    string // what they were made of
	context *srtp.Context
	header  prtp.Header
	report  prtcp.Header
	known   [maxSSRCs]uint32
	count   int
}

func newOpener(s *suite, c *sdp.Crypto) (*opener, error) {
	options := []srtp.ContextOption{srtp.SRTPReplayProtection(replayRTP), srtp.SRTCPReplayProtection(replayRTCP)}
	if mki := c.Keys[0].MKI; mki != nil {
		options = append(options, srtp.MasterKeyIndicator(mki))
	}
	k := c.Keys[0].Key
	context, err := srtp.CreateContext(k[:s.key], k[s.key:], s.profile, options...)
	if err != nil {
		return nil, fmt.Errorf("rtp: keys of the peer: %w", err)
	}
	for _, more := range c.Keys[1:] {
		if err := context.AddCipherForMKI(more.MKI, more.Key[:s.key], more.Key[s.key:]); err != nil {
			return nil, fmt.Errorf("rtp: keys of the peer: %w", err)
		}
	}
	return &opener{context: context}, nil
}

// met reports whether packets of an SSRC are looked at.
func (o *opener) met(ssrc uint32) bool {
	for i := range o.count {
		if o.known[i] == ssrc {
			return true
		}
	}
	return o.count < maxSSRCs
}

// note keeps an SSRC whose packet was genuine.
func (o *opener) note(ssrc uint32) {
	for i := range o.count {
		if o.known[i] == ssrc {
			return
		}
	}
	if o.count < maxSSRCs {
		o.known[o.count] = ssrc
		o.count++
	}
}

// open decrypts an RTP packet in place; what it returns is a part of p.
func (t *transform) open(p []byte, ssrc uint32) ([]byte, error) {
	o := t.in
	if !o.met(ssrc) {
		return nil, errSSRCs
	}
	q, err := o.context.DecryptRTP(p, p, &o.header)
	if err == nil {
		o.note(ssrc)
	}
	return q, err
}

func (t *transform) openControl(p []byte) ([]byte, error) {
	if len(p) < 8 {
		return nil, errShort
	}
	o, ssrc := t.in, binary.BigEndian.Uint32(p[4:])
	if !o.met(ssrc) {
		return nil, errSSRCs
	}
	q, err := o.context.DecryptRTCP(p, p, &o.report)
	if err == nil {
		o.note(ssrc)
	}
	return q, err
}

// sealer holds one of our keys and what went out under it, for the endpoint's life: whoever it went to, no number is used twice.
type sealer struct {
	suite   string
	key     []byte
	context *srtp.Context
	once    rtpstream.Once
	header  prtp.Header
	report  prtcp.Header
}

func newSealer(s *suite, key []byte) (*sealer, error) {
	context, err := srtp.CreateContext(key[:s.key], key[s.key:], s.profile)
	if err != nil {
		return nil, fmt.Errorf("rtp: %s: key of ours: %w", s.name, err)
	}
	return &sealer{suite: s.name, key: key, context: context}, nil
}

// seal encrypts an RTP packet in place, into the room behind it.
func (t *transform) seal(p []byte) ([]byte, error) {
	if !t.out.once.Take(binary.BigEndian.Uint16(p[2:])) {
		return nil, errReused
	}
	return t.out.context.EncryptRTP(p, p, &t.out.header)
}

func (t *transform) sealControl(p []byte) ([]byte, error) {
	return t.out.context.EncryptRTCP(p, p, &t.out.report)
}
