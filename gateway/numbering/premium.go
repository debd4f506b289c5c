package numbering

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// PremiumRate is the kind of numbers that a country's plan has for dear services.
const PremiumRate = "a premium rate"

// networks are the country codes of no country whose calls cost several times as much as others (ITU-T E.164 annex D), and what they are.
func networks(code string) string {
	switch code {
	case "870", "881":
		return "a satellite telephone's"
	case "878", "882", "883":
		return "an international network's"
	case "979":
		return "an international premium rate"
	}
	return ""
}

// Premium tells, of a number that is international (+ or 00 in front), what makes calls to it dear, such as "a premium rate"; "" if nothing
// does that its country's numbering plan says, or the number isn't international. code is how many digits the country code of such a number has.
// Digits behind a whole number change nothing: switches look past them.
func Premium(number string) (kind string, code int) {
	digits, plus := strings.CutPrefix(number, "+")
	if !plus {
		if digits, plus = strings.CutPrefix(number, "00"); !plus {
			return "", 0
		}
	}
	if len(digits) < 3 || len(digits) > 2*maxE164 || strings.Trim(digits, "0123456789") != "" {
		return "", 0
	}
	if kind = networks(digits[:3]); kind != "" {
		return kind, 3
	}
	for ; len(digits) >= leastWhole; digits = digits[:len(digits)-1] {
		n, err := phonenumbers.Parse("+"+digits, "")
		if err != nil {
			continue
		}
		switch phonenumbers.GetNumberType(n) {
		case phonenumbers.PREMIUM_RATE:
			return PremiumRate, len(strconv.Itoa(int(n.GetCountryCode())))
		case phonenumbers.UNKNOWN:
		default:
			return "", 0
		}
	}
	return "", 0
}

// leastWhole is the fewest digits of a whole number, with its country code (ITU-T E.164: +290, +683).
const leastWhole = 7

// Valid tells whether a number is one of its country's plan, or of a network which is no country's.
func Valid(number string) bool {
	n, err := phonenumbers.Parse(number, "")
	return err == nil && phonenumbers.IsValidNumber(n)
}

// Nested tells, of a number with + or 00 in front, that a 0 stands behind its country code with which no number there begins, as in +49 0 979…: where
// a switch takes the code off and puts 0 in front, that is 00 979…, a number of somewhere else.
func Nested(number string) bool {
	digits, plus := strings.CutPrefix(number, "+")
	if !plus {
		if digits, plus = strings.CutPrefix(number, "00"); !plus {
			return false
		}
	}
	if len(digits) > 2*maxE164 || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	for i := 1; i <= min(3, len(digits)-1); i++ {
		code, _ := strconv.Atoi(digits[:i])
		region := phonenumbers.GetRegionCodeForCountryCode(code)
		if code == 0 || region == phonenumbers.UNKNOWN_REGION {
			continue
		}
		if digits[i] != '0' || phonenumbers.GetNddPrefixForRegion(region, true) == "" {
			return false
		}
		n, err := phonenumbers.Parse("+"+digits, "")
		return err != nil || !phonenumbers.IsValidNumber(n) || phonenumbers.GetNationalSignificantNumber(n) != digits[i:]
	}
	return false
}
