package sdp

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestCrypto(t *testing.T) {
	key := []byte("0123456789abcdefghijklmnopqrst")
	const text = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0"
	for _, c := range []struct {
		in   string
		want Crypto
	}{
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + text, Crypto{Tag: 1, Suite: "AES_CM_128_HMAC_SHA1_80", Keys: []CryptoKey{{Key: key}}}},
		{"7  aes_cm_128_hmac_sha1_32 INLINE:" + text + "|2^20|1:4 WSH=64 -X", Crypto{Tag: 7, Suite: "AES_CM_128_HMAC_SHA1_32",
			Keys: []CryptoKey{{Key: key, Lifetime: 1 << 20, MKI: []byte{0, 0, 0, 1}}}, Params: []string{"WSH=64", "-X"}}},
		{"2 X inline:" + text + "|1048576|258:2;inline:" + text + "|3:2", Crypto{Tag: 2, Suite: "X",
			Keys: []CryptoKey{{Key: key, Lifetime: 1 << 20, MKI: []byte{1, 2}}, {Key: key, MKI: []byte{0, 3}}}}},
		{"2 X inline:" + text + "||1:1", Crypto{Tag: 2, Suite: "X", Keys: []CryptoKey{{Key: key, MKI: []byte{1}}}}},
		{"3 X inline:QQ", Crypto{Tag: 3, Suite: "X", Keys: []CryptoKey{{Key: []byte("A")}}}},
	} {
		got, err := ParseCrypto(c.in)
		if len(got.Params) == 0 {
			got.Params = nil
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\nis %d %s %d keys %v, %v", c.in, got.Tag, got.Suite, len(got.Keys), got.Params, err)
		}
		again, err := ParseCrypto(got.Line())
		if len(again.Params) == 0 {
			again.Params = nil
		}
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s\nis written as %s: %v", c.in, got.Line(), err)
		}
		if s := fmt.Sprintf("%v %+v %#v %v", got, got, got, &got); strings.Contains(s, "48 49") || strings.Contains(s, "0x30") || strings.Contains(s, "0123") {
			t.Errorf("a key is shown: %s", s)
		}
	}
	for _, in := range []string{
		"", "1", "1 X", "0 X inline:QQ==", "1000000000 X inline:QQ==", "x X inline:QQ==", "1 X QQ==", "1 X inline:", "1 X inline:!",
		"1 X uri:QQ==", "1 X inline:QQ==|2^49", "1 X inline:QQ==|0", "1 X inline:QQ==|1:0", "1 X inline:QQ==|1:129", "1 X inline:QQ==|256:1",
		"1 X inline:QQ==|x:1", "1 X inline:QQ==|1|1:1|1", "1 X " + strings.Repeat("inline:QQ==;", 16) + "inline:QQ==",
	} {
		if c, err := ParseCrypto(in); err == nil {
			t.Errorf("%q is read as %+v", in, c)
		} else if strings.Contains(err.Error(), "QQ") {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}

func FuzzCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0|2^20|1:4;inline:QQ==|9 WSH=64")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseCrypto(in)
		if err != nil {
			return
		}
		again, err := ParseCrypto(c.Line())
		if err != nil || again.Tag != c.Tag || !reflect.DeepEqual(again.Keys, c.Keys) {
			t.Errorf("%q is written as %q: %v", in, c.Line(), err)
		}
	})
}
