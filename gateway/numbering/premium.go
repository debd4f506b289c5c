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
	n, err := phonenumbers.Parse("+"+digits, "")
	if err != nil || phonenumbers.GetNumberType(n) != phonenumbers.PREMIUM_RATE {
		return "", 0
	}
	return PremiumRate, len(strconv.Itoa(int(n.GetCountryCode())))
}
