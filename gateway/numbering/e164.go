package numbering

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// CheckCountry tells whether a country's numbering plan is known.
func CheckCountry(code string) error {
	if !phonenumbers.GetSupportedRegions()[strings.ToUpper(code)] {
		return fmt.Errorf("country %q: expected two letters of ISO 3166-1, such as DE, FR, GB or US", code)
	}
	return nil
}

// maxE164 is the most digits that a number has (E.164 6.2.1).
const maxE164 = 15

// read understands a number as E.164.
func (p *Plan) read(n string) (string, bool) {
	n = compact(n)
	digits, plus := strings.CutPrefix(n, "+")
	if digits == "" || len(digits) > 2*maxE164 || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	switch {
	case plus:
		return global(digits)
	case p.cfg.Format == Zeros && strings.HasPrefix(digits, "00"):
		return global(digits[2:])
	case p.cfg.Format == Plain && digits[0] != '0':
		if n, err := phonenumbers.Parse("+"+digits, ""); err == nil && phonenumbers.IsPossibleNumber(n) {
			if e, ok := global(digits); ok {
				return e, true
			}
		}
	}
	if p.cfg.Country == "" {
		return "", false
	}
	return national(digits, p.cfg.Country)
}

// global takes digits that begin with a country code. A national prefix that stands behind it by mistake (+49 030…) is taken
// out where that makes a number of it; what no plan knows is believed as it is.
func global(digits string) (string, bool) {
	if len(digits) < 3 || len(digits) > maxE164+1 || digits[0] == '0' {
		return "", false
	}
	if n, err := phonenumbers.Parse("+"+digits, ""); err == nil && phonenumbers.IsValidNumber(n) {
		return whole(n, true)
	}
	return "+" + digits, len(digits) <= maxE164
}

// whole is a number's E.164 form, if it is one: plans know longer numbers than there may be, and the library writes zeros as they came.
func whole(n *phonenumbers.PhoneNumber, ok bool) (string, bool) {
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	return e164, ok && e164[0] == '+' && len(e164) <= maxE164+1
}

// behind is what was dialled behind an international prefix: the library leaves out a national one that follows the country code (00 49 030…), with
// which it may be another number, and none at all.
func behind(digits string, n *phonenumbers.PhoneNumber) string {
	code, nsn := strconv.Itoa(int(n.GetCountryCode())), phonenumbers.GetNationalSignificantNumber(n)
	ndd := phonenumbers.GetNddPrefixForRegion(phonenumbers.GetRegionCodeForCountryCode(int(n.GetCountryCode())), true)
	if whole := code + ndd + nsn; strings.HasSuffix(digits, whole) {
		return whole
	}
	return code + nsn
}

// national takes what is dialled in a country: an international prefix and a number, or a number in its full national form.
// Where that form begins with a national prefix, a number without it is a local one, and not understood.
func national(digits, country string) (string, bool) {
	n, err := phonenumbers.ParseAndKeepRawInput(digits, country)
	if err != nil {
		return "", false
	}
	if n.GetCountryCodeSource() == phonenumbers.PhoneNumber_FROM_NUMBER_WITH_IDD {
		if !phonenumbers.IsPossibleNumber(n) {
			return "", false
		}
		return global(behind(digits, n))
	}
	if !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	nsn, ndd := phonenumbers.GetNationalSignificantNumber(n), phonenumbers.GetNddPrefixForRegion(country, true)
	full := digits == phonenumbers.NormalizeDigitsOnly(phonenumbers.Format(n, phonenumbers.NATIONAL)) || digits == ndd+nsn
	// A mobile number of that length is nobody's local number, and in India, say, the prefix is hardly ever dialled.
	full = full || len(digits) >= 10 && digits == nsn && phonenumbers.GetNumberType(n) == phonenumbers.MOBILE
	return whole(n, full)
}

// within understands a local number in the context that a URI gives: the digits that go before it, or those of its country.
func within(local, context string) (string, bool) {
	local = compact(local)
	if local == "" || strings.Trim(local, "0123456789") != "" {
		return "", false
	}
	before := compact(context)
	if n, err := phonenumbers.Parse(before+local, ""); err == nil && phonenumbers.IsValidNumber(n) {
		return whole(n, true)
	}
	code := 0
	for i := 1; i < len(before) && i <= 3; i++ {
		code = code*10 + int(before[i]-'0')
		if region := phonenumbers.GetRegionCodeForCountryCode(code); region != phonenumbers.UNKNOWN_REGION {
			return national(local, region)
		}
	}
	return "", false
}

// write puts a number into the format of the plan.
func (p *Plan) write(n string) string {
	if p.cfg.Format == AsIs {
		return n
	}
	e, ok := p.read(n)
	if !ok {
		return n
	}
	switch p.cfg.Format {
	case Plain:
		return e[1:]
	case Zeros:
		return "00" + e[1:]
	case National:
		return p.dialled(e)
	}
	return e
}

// dialled is a number as it is dialled in the plan's country. One that would be read there as another stays E.164.
func (p *Plan) dialled(e164 string) string {
	out := p.dials(e164)
	if back, ok := p.read(out); ok && back != e164 {
		return e164
	}
	return out
}

func (p *Plan) dials(e164 string) string {
	n, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return e164
	}
	if int(n.GetCountryCode()) == phonenumbers.GetCountryCodeForRegion(p.cfg.Country) {
		return phonenumbers.NormalizeDigitsOnly(phonenumbers.Format(n, phonenumbers.NATIONAL))
	}
	out := phonenumbers.FormatOutOfCountryCallingNumber(n, p.cfg.Country)
	if strings.ContainsAny(out, `+[|?\`) { // the prefix is that of a carrier that the caller chooses (Brazil)
		return e164
	}
	return phonenumbers.NormalizeDigitsOnly(out)
}

// compact takes the visual separators out of what may be a telephone number (RFC 3966 5.1.1); anything else stays as it is.
func compact(s string) string {
	if strings.Trim(s, "+0123456789-.() ") != "" {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.() ", r) {
			return -1
		}
		return r
	}, s)
}
