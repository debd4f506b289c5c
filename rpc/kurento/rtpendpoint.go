package kurento

import (
	"encoding/base64"
	"errors"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// RTP is what stands behind an RtpEndpoint.
type RTP interface{ media.Endpoint }

// RTPOptions are what an RtpEndpoint is made with.
type RTPOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	Name     string          // in logs
	Tenant   string          // whose it is
	Notify   func(media.Notice)
	Suite    string // of SRTP, as SDP names it (RFC 4568, RFC 6188); "" = plain RTP
	Key      []byte // master key and salt of ours; nil = to be drawn
	IPv6     bool
}

// RtpEndpoint speaks plain RTP, or SRTP with keys that stand in the SDP.
type RtpEndpoint struct{ BaseRtpEndpoint }

func (k *Core) rtpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "RtpEndpoint", Doc: "Exchanges RTP or SRTP with a peer, negotiated by SDP.", Extends: k.BaseRtpEndpoint, Parent: k.Pipeline,
		New:    rpc.Make(k.newRtpEndpoint, rpc.Arg("mediaPipeline"), rpc.OptArg("crypto", SDES{}), rpc.OptArg("useIpv6", false)),
		Events: []string{"OnKeySoftLimit"}}
}

func (k *Core) newRtpEndpoint(self *rpc.Object, p *Pipeline, crypto SDES, ipv6 bool) (*RtpEndpoint, error) {
	if k.cfg.RTP == nil {
		return nil, rpc.Errorf(rpc.NotSupported, "RtpEndpoint isn't available on this server.")
	}
	e := &RtpEndpoint{}
	o := RTPOptions{Pipeline: p.Media(), Name: self.ID(), Tenant: self.Tenant(), Notify: e.Notice, IPv6: ipv6}
	want := media.Want{}
	var err error
	if o.Suite, o.Key, err = crypto.keys(); err != nil {
		return nil, err
	}
	if o.Suite != "" {
		want.SRTP = media.SRTPRequire
	}
	endpoint, err := k.cfg.RTP(o)
	if err != nil {
		return nil, err
	}
	e.agreed = func() { e.SetConnectionState(ConnectionStateConnected) }
	e.Begin(self, p, endpoint, want)
	return e, nil
}

// Close ends the element's connections, then the endpoint.
func (e *RtpEndpoint) Close() error { return errors.Join(e.Element.Close(), e.endpoint.Close()) }

// keys are the suite and our key, in SDP's terms. A suite alone has a key drawn.
func (s *SDES) keys() (suite string, key []byte, err error) {
	if s.Crypto == nil {
		if s.Key != nil || s.KeyBase64 != nil {
			return "", nil, rpc.Errorf(rpc.IllegalParam, "'crypto' has a key, and no suite that it is for")
		}
		return "", nil, nil
	}
	size := 30
	switch *s.Crypto {
	case CryptoSuiteAes128CmHmacSha1_32:
		suite = "AES_CM_128_HMAC_SHA1_32"
	case CryptoSuiteAes128CmHmacSha1_80:
		suite = "AES_CM_128_HMAC_SHA1_80"
	case CryptoSuiteAes256CmHmacSha1_32:
		suite, size = "AES_256_CM_HMAC_SHA1_32", 46
	case CryptoSuiteAes256CmHmacSha1_80:
		suite, size = "AES_256_CM_HMAC_SHA1_80", 46
	}
	switch {
	case s.KeyBase64 != nil:
		if key, err = base64.StdEncoding.DecodeString(*s.KeyBase64); err != nil {
			return "", nil, rpc.Errorf(rpc.IllegalParam, "'crypto.keyBase64' isn't base64")
		}
	case s.Key != nil:
		key = []byte(*s.Key)
	default:
		return suite, nil, nil
	}
	if len(key) != size {
		return "", nil, rpc.Errorf(rpc.IllegalParam, "Master key size is wrong: 'crypto' has %d bytes, should have %d for %s", len(key), size, *s.Crypto)
	}
	return suite, key, nil
}
