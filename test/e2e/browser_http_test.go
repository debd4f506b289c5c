//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// certificate writes a self-signed certificate with a serial number, and its key, as an operator's tool does: beside, then
// in place.
func certificate(t *testing.T, dir string, serial int64, host netip.Addr) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "patchbay test"}, IPAddresses: []net.IP{host.AsSlice()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: raw}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The same is served in clear on 8888 and over TLS on 8433: the page, health, SIP over WebSocket. The certificate is
// exchanged while a browser that trusts the old one talks; who comes later is shown the new one, and the call goes on.
func TestBrowserOverTLS(t *testing.T) {
	addr, dir := address(t), t.TempDir()
	certificates := x509.NewCertPool()
	certificates.AddCert(certificate(t, dir, 1, addr))
	g := startGateway(t, addr, settings{
		users: "  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\n  - {id: bob, password: builder-2, numbers: [\"101\"]}\n",
		more:  fmt.Sprintf("https: {certificate: %q, key: %q}\n", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")),
	})
	plain, secure := fmt.Sprintf("http://%s:8888", addr), fmt.Sprintf("https://%s:8433", addr)
	get := func(url string) (body []byte, serial int64, err error) {
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: certificates}}}
		r, err := client.Get(url)
		if err != nil {
			return nil, 0, err
		}
		defer r.Body.Close()
		body, err = io.ReadAll(r.Body)
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d: %s", r.StatusCode, body)
		}
		if r.TLS != nil {
			serial = r.TLS.PeerCertificates[0].SerialNumber.Int64()
		}
		return body, serial, err
	}
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics"} {
		clear, _, err := get(plain + path)
		if err != nil {
			t.Errorf("%s%s: %v", plain, path, err)
			continue
		}
		over, serial, err := get(secure + path)
		if err != nil || serial != 1 {
			t.Errorf("%s%s: certificate %d, %v", secure, path, serial, err)
		} else if path != "/metrics" && !bytes.Equal(clear, over) {
			t.Errorf("%s is another over TLS", path)
		}
	}
	c, _, err := siptest.DialWeb(fmt.Sprintf("wss://%s:8433/sip", addr), &tls.Config{RootCAs: certificates}, nil)
	if err != nil {
		t.Errorf("SIP over WebSocket over TLS: %v", err)
	} else {
		_ = c.Close()
	}

	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60), AutoAnswer: true})
	alice := openSoftphone(t, secure+"/", 440)
	alice.login("alice", "wonder-land-1")
	alice.dial("101")
	bob.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	alice.call("state", "talking")
	certificates.AddCert(certificate(t, dir, 2, addr))
	peers.Wait(t, 15*time.Second, "the new certificate", func() bool {
		_, serial, err := get(secure + "/readyz")
		if err != nil {
			t.Errorf("while the certificate is exchanged: %v", err)
		}
		return serial == 2
	})
	if hz, level := alice.hears(); hz < 875 || hz > 885 {
		t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz", hz, level)
	}
	alice.click("#hangup")
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)

	// A process that stops is alive, and not ready.
	g.records(t, 1)
	bob.Dial(t, "sip:100@test.local")
	alice.call("state", "incoming")
	alice.click("#accept")
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	g.Signal(syscall.SIGTERM)
	var code int
	peers.Wait(t, 5*time.Second, "/readyz to say no", func() bool { code, _ = g.Get(t, "/readyz"); return code == http.StatusServiceUnavailable })
	if code, body := g.Get(t, "/livez"); code != http.StatusOK {
		t.Errorf("/livez of a process that drains says %d %s, expected 200", code, body)
	}
	alice.click("#hangup")
	g.Term(t, 10*time.Second)
}
