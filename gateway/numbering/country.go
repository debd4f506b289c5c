package numbering

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Country is where a number that is international (+ or 00 in front) leads: two letters of ISO 3166-1; + and the country code where that is no
// country's, or is shared by several and no plan says whose the number is; "" if it isn't international. code is how many digits its country code has.
func Country(number string) (country string, code int) {
	digits, plus := strings.CutPrefix(number, "+")
	if !plus {
		if digits, plus = strings.CutPrefix(number, "00"); !plus {
			return "", 0
		}
	}
	if digits == "" || len(digits) > 2*maxE164 || strings.Trim(digits, "0123456789") != "" {
		return "", 0
	}
	n, err := phonenumbers.Parse("+"+digits, "")
	if err == nil {
		if r := phonenumbers.GetRegionCodeForNumber(n); len(r) == 2 && r != phonenumbers.UNKNOWN_REGION {
			return r, len(strconv.Itoa(int(n.GetCountryCode())))
		}
	}
	for i := 1; i <= min(3, len(digits)); i++ {
		c, _ := strconv.Atoi(digits[:i])
		switch list := phonenumbers.GetRegionCodesForCountryCode(c); {
		case len(list) == 1 && len(list[0]) == 2:
			return list[0], i
		case len(list) > 0:
			return "+" + digits[:i], i
		}
	}
	return "+" + digits[:min(3, len(digits))], min(3, len(digits))
}
