package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// soon is how long before a certificate's end there is a warning.
const soon = 21 * 24 * time.Hour

// tls looks at what a server over TLS shows, and at our own certificate.
func (x *examination) tls(ctx context.Context, s sip.Server) []Check {
	ctx, cancel := context.WithTimeout(ctx, x.part(connectTime))
	defer cancel()
	seen, err := x.UA.Inspect(ctx, s)
	if err != nil {
		return []Check{x.broken(s, seen, err)}
	}
	list := []Check{trust(s, seen)}
	if seen.Trust == nil {
		list = append(list, until("tls", "the carrier's certificate", seen.Chain[0], "the carrier must renew it")...)
	}
	return append(list, x.own(seen.Asked)...)
}

// broken tells why there was no handshake.
func (x *examination) broken(s sip.Server, seen sip.Inspection, err error) Check {
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case seen.Connected == 0:
		return x.unreachable("tls", s, err)
	case seen.Asked && errors.As(err, &alert), seen.Asked && strings.Contains(err.Error(), "remote error"):
		advice := "the carrier wants another certificate of ours: set tls.certificate and tls.key to what it issued or knows"
		return check("tls", Fail, advice, "%s: %v", s.Addr, err)
	case errors.As(err, &record):
		return check("tls", Fail, "it doesn't speak TLS there: 5061 is the usual port, or set transport to tcp", "%s: %v", s.Addr, err)
	}
	return check("tls", Fail, "does it speak TLS 1.2 or 1.3 there? 5061 is the usual port", "%s: %v", s.Addr, err)
}

// trust judges the server's certificate.
func trust(s sip.Server, seen sip.Inspection) Check {
	if len(seen.Chain) == 0 {
		return check("tls", Fail, "", "%s shows no certificate", s.Addr)
	}
	leaf := seen.Chain[0]
	if seen.Trust == nil {
		return check("tls", OK, "", "%s: %s in %v, certificate of %s, issued by %s", s.Addr, seen.Version, ms(seen.Connected+seen.Took), names(leaf), clip(leaf.Issuer.String()))
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	advice := "set tls.name to the name that the certificate has if that is the carrier, else correct proxy"
	switch {
	case errors.As(seen.Trust, &unknown):
		advice = fmt.Sprintf("set tls.ca to the PEM file of who vouches for it (%s)", clip(seen.Chain[len(seen.Chain)-1].Issuer.String()))
	case errors.As(seen.Trust, &invalid) && invalid.Reason == x509.Expired:
		advice = "the carrier must renew it, unless this host's clock is wrong: timedatectl"
	case errors.As(seen.Trust, &invalid):
		advice = "the carrier must mend it"
	}
	return check("tls", Fail, advice, "%s: %v", s.Addr, seen.Trust)
}

// names are those of a certificate.
func names(c *x509.Certificate) string {
	var list []string
	for _, u := range c.URIs {
		list = append(list, u.String())
	}
	list = append(list, c.DNSNames...)
	for _, a := range c.IPAddresses {
		list = append(list, a.String())
	}
	if len(list) == 0 {
		list = append(list, c.Subject.String())
	}
	return clip(strings.Join(list, ", "))
}

// until warns of a certificate that ends soon.
func until(step, whose string, c *x509.Certificate, advice string) []Check {
	left := time.Until(c.NotAfter)
	switch {
	case left <= 0:
		return []Check{check(step, Fail, advice, "%s ended %s", whose, c.NotAfter.UTC().Format(time.RFC3339))}
	case left < soon:
		return []Check{check(step, Warn, advice, "%s ends in %s, %s", whose, days(left), c.NotAfter.UTC().Format(time.RFC3339))}
	}
	return []Check{check(step, OK, "", "%s is good for %s, until %s", whose, days(left), c.NotAfter.UTC().Format(time.DateOnly))}
}

func days(d time.Duration) string {
	switch n := int(d.Hours() / 24); n {
	case 0:
		return d.Round(time.Minute).String()
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// own judges our certificate, if the carrier asks for one.
func (x *examination) own(asked bool) []Check {
	var pair *tls.Certificate
	if x.TLS != nil {
		if c := x.TLS(); c != nil && len(c.Certificates) > 0 {
			pair = &c.Certificates[0]
		}
	}
	switch {
	case pair == nil && asked:
		return []Check{check("tls", OK, "", "the carrier asks for a certificate of ours, and goes on without one")}
	case pair == nil:
		return nil
	}
	leaf := pair.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return []Check{check("tls", Fail, "tls.certificate must be a PEM file with our certificate first", "our certificate: %v", err)}
		}
	}
	whose := "our certificate (" + names(leaf) + ")"
	if !asked {
		whose += ", which the carrier doesn't ask for,"
	}
	return until("tls", whose, leaf, "renew it at "+clip(leaf.Issuer.String())+", and put it at tls.certificate")
}
