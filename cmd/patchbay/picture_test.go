package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/patchbay/patchbay/"

// arrows are the picture of README.md: who imports whom, and there are no others. The first line whose pattern fits a
// package is its own; a pattern that ends with /... is a folder with all below it.
var arrows = []struct {
	from string
	to   []string
}{
	{"cmd/patchbay/leg", []string{"sip/...", "media/..."}},
	{"cmd/patchbay/carrier", []string{"cmd/patchbay/leg", "sip/...", "media/..."}},
	{"cmd/patchbay/phone", []string{"cmd/patchbay/leg", "sip/...", "media/..."}},
	{"cmd/patchbay/...", []string{"cmd/patchbay/...", "sip/...", "media/...", "gateway/...", "rpc/...", "billing/...", "web"}},
	{"test/...", []string{"test/...", "web/webtest", "sip/...", "media/...", "gateway/...", "rpc/...", "billing/..."}},
	{"sip/...", []string{"sip/..."}},
	{"gateway/call", nil},
	{"gateway/numbering", []string{"sip/..."}},
	{"gateway/quality", nil},
	{"gateway/doctor", []string{"sip/...", "media/sdp"}},
	{"gateway", []string{"gateway/call", "gateway/doctor", "gateway/numbering", "gateway/quality", "sip/...", "media/..."}},
	{"billing/...", []string{"billing/...", "gateway/call"}},
	{"rpc/...", []string{"rpc/...", "media", "media/sdp"}},
	{"media/sdp", nil},
	{"media/udp", nil},
	{"media", []string{"media/sdp"}},
	{"media/...", []string{"media/..."}},
	{"web/...", []string{"web/..."}},
}

// doors are where a library's types stop. A library that isn't here has none: a dependency needs a reason.
var doors = map[string][]string{
	"github.com/nyaruka/phonenumbers":     {"gateway/numbering"},
	"github.com/emiago/sipgo":             {"sip/siptest/foreign"},
	"github.com/miekg/dns":                {"sip/dns", "sip/siptest"},
	"github.com/gorilla/websocket":        {"sip/flow", "sip/siptest", "rpc/...", "media/stream", "web/webtest"},
	"github.com/jackc/pgx/v5":             {"billing/..."},
	"github.com/pressly/goose/v3":         {"billing/..."},
	"go.etcd.io/bbolt":                    {"billing/..."},
	"github.com/shopspring/decimal":       {"billing/...", "cmd/patchbay"},
	"github.com/pion/sdp/v3":              {"media/sdp"},
	"github.com/bluenviron/gortsplib/v5":  {"media/rtsp"},
	"github.com/pion/rtp":                 {"media/rtp/...", "media/rtsp", "media/webrtc/..."},
	"github.com/pion/rtcp":                {"media/rtp/...", "media/rtpstream", "media/rtsp", "media/webrtc/..."},
	"github.com/pion/srtp/v3":             {"media/rtp/...", "media/webrtc/..."},
	"github.com/pion/dtls/v3":             {"media/webrtc/..."},
	"github.com/pion/ice/v4":              {"media/webrtc/..."},
	"github.com/pion/interceptor":         {"media/webrtc/..."},
	"github.com/pion/logging":             {"media/webrtc/..."},
	"github.com/pion/stun/v4":             {"media/webrtc/..."},
	"github.com/pion/transport/v5":        {"media/webrtc/..."},
	"github.com/pion/webrtc/v4":           {"media/webrtc/..."},
	"github.com/thesyncim/gopus":          {"media/opus"},
	"github.com/evanw/esbuild":            {"web/build"},
	"github.com/zaf/g711":                 {"media/g711"},
	"github.com/google/uuid":              {"gateway/call", "billing/...", "rpc/..."},
	"github.com/spf13/cobra":              {"cmd/patchbay"},
	"github.com/goccy/go-yaml":            {"cmd/patchbay"},
	"github.com/prometheus/client_golang": {"cmd/patchbay"},
	"golang.org/x/sys":                    {"media/udp", "billing/...", "sip/...", "cmd/patchbay/..."},
	"go.uber.org/goleak":                  {"media/mediatest", "sip/siptest"},
}

// forTests are packages that only tests import.
var forTests = []string{"test/...", "media/mediatest", "sip/siptest", "sip/siptest/foreign", "web/webtest", "rpc/kurento/kurentotest"}

var emptyNames = []string{"util", "utils", "common", "types", "defs", "helper", "helpers", "misc", "shared", "base"}

type listed struct {
	ImportPath string
	Imports    []string
}

// packages of the module, as the toolchain sees them. One that can't be compiled is listed too: that is for the compiler to tell.
func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var list []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func fits(pattern, name string) bool {
	folder, ok := strings.CutSuffix(pattern, "/...")
	return name == folder || ok && strings.HasPrefix(name, folder+"/")
}

func anyFits(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, name) })
}

// complaint is what the picture says against an import.
func complaint(from, to string) string {
	ours, isOurs := strings.CutPrefix(to, module)
	if isOurs {
		i := slices.IndexFunc(arrows, func(a struct {
			from string
			to   []string
		}) bool {
			return fits(a.from, from)
		})
		switch {
		case i < 0:
			return from + " isn't in the picture"
		case !anyFits(arrows[i].to, ours):
			return from + " imports " + ours + ": there is no such arrow in the picture"
		case anyFits(forTests, ours) && !anyFits(forTests, from):
			return from + " imports " + ours + ", which is for tests"
		}
		return ""
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	if fits("test/...", from) {
		return ""
	}
	for library, door := range doors {
		if fits(library+"/...", to) {
			if !anyFits(door, from) {
				return from + " imports " + to + ", whose types stop at " + oneOf(door)
			}
			return ""
		}
	}
	return from + " imports " + to + ", a library without a door: name its place, and say in the commit why it is needed"
}

func TestPicture(t *testing.T) {
	list := packages(t)
	if len(list) < 10 {
		t.Fatalf("go list names %d packages, the module has more", len(list))
	}
	for _, p := range list {
		from, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok {
			t.Errorf("%s isn't of this module", p.ImportPath)
			continue
		}
		if slices.Contains(emptyNames, path.Base(from)) {
			t.Errorf("%s: a package is named for what it gives", from)
		}
		for _, to := range p.Imports {
			if c := complaint(from, to); c != "" {
				t.Error(c)
			}
		}
	}
}

func TestPictureHasNoOtherArrows(t *testing.T) {
	for _, bad := range [][2]string{
		{"sip", module + "media"}, {"media", module + "gateway"}, {"media/sdp", module + "media"}, {"media/udp", module + "media/sdp"},
		{"gateway", module + "billing"}, {"gateway", module + "rpc"}, {"gateway/call", module + "sip"}, {"billing", module + "gateway"},
		{"rpc", module + "gateway"}, {"rpc", module + "media/rtp"}, {"rpc", module + "billing"}, {"media/rtp", module + "sip/wire"},
		{"gateway", module + "sip/siptest"}, {"cmd/patchbay", module + "test/peers"}, {"cmd/patchbay/carrier", module + "gateway"}, {"web", module + "media"},
		{"sip", "github.com/pion/sdp/v3"}, {"gateway", "github.com/jackc/pgx/v5/pgxpool"},
		{"media", "github.com/pion/rtp"}, {"billing", "github.com/spf13/cobra"}, {"sip", "example.org/new"},
	} {
		if complaint(bad[0], bad[1]) == "" {
			t.Errorf("the picture allows %s to import %s", bad[0], bad[1])
		}
	}
	for _, good := range [][2]string{
		{"gateway", module + "media/sdp"}, {"media/rtp", module + "media/udp"}, {"media", module + "media/sdp"}, {"sip", "net/netip"},
		{"billing", "github.com/jackc/pgx/v5/stdlib"}, {"cmd/patchbay", module + "billing"}, {"test/peers", "github.com/jackc/pgx/v5"},
	} {
		if c := complaint(good[0], good[1]); c != "" {
			t.Error(c)
		}
	}
}
