package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/carrier"
)

// command runs the program's command line.
func command(ctx context.Context, args ...string) (out string, err error) {
	var b bytes.Buffer
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(&b)
	root.SetErr(&b)
	err = root.ExecuteContext(ctx)
	return b.String(), err
}

// runCarrier starts `patchbay carrier` on a free port and returns its data folder and address.
func runCarrier(t *testing.T) (dir, addr string) {
	t.Helper()
	dir = t.TempDir()
	cfg, err := carrierConfig("127.0.0.1:0", dir, "", []string{"alice:open sesame"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := carrier.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return dir, c.Addr().String()
}

func TestCallCommand(t *testing.T) {
	dir, addr := runCarrier(t)
	// The demo carrier's own account has its password in the data folder; users of the demo find theirs in the same way.
	if err := os.WriteFile(filepath.Join(dir, "demo", "alice.password"), []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t.Context(), "call", "9001", "--data", dir, "--server", addr, "--duration", "1200ms", "--play", "tone:700@-12")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"is registered", "dials 9001", "answered: PCMU/8000", "in the last second 1004.0 Hz at 0.0", "ended by us"} {
		if !strings.Contains(out, want) {
			t.Errorf("output doesn't say %q:\n%s", want, out)
		}
	}
	out, err = command(t.Context(), "carrier", "calls", "--data", dir, "--all", "--json")
	var calls []carrier.Call
	if err != nil || json.Unmarshal([]byte(out), &calls) != nil || len(calls) != 1 || calls[0].Number != "9001" || calls[0].Heard.Strongest.Hz != 700 {
		t.Errorf("carrier calls: %v\n%s", err, out)
	}
	if out, err = command(t.Context(), "carrier", "calls", "--data", dir, "--all"); err != nil || !strings.Contains(out, "700 Hz at -12.0 dBm0") {
		t.Errorf("carrier calls: %v\n%s", err, out)
	}
	for _, c := range []struct{ args, want string }{
		{"call 9002", "9002 is busy (486"},
		{"call 9404 --json", "number 9404 is unknown (404"},
		{"call 9001 --password wrong", "password is wrong"},
		{"call 9001 --user carol", "user carol needs --password"},
		{"call 9001 --user bob", "password of bob"},
		{"call", "expected either a number"},
		{"call 9001 --answer", "expected either a number"},
		{"call 9001 --demo", "expected either a number"},
		{"call 9001 --codecs g729", "codec \"g729\""},
		{"call 9001 --play no.wav", "no.wav"},
		{"carrier call 100 --account alice", "is not registered"},
		{"carrier call abc", "expected up to 32 digits"},
	} {
		args := append(strings.Fields(c.args), "--data", dir)
		if args[0] == "call" {
			args = append(args, "--server", addr)
		}
		if out, err := command(t.Context(), args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q\n%s", c.args, err, c.want, out)
		}
	}
}

func TestCarrierCallCommand(t *testing.T) {
	dir, addr := runCarrier(t)
	answered := make(chan error, 1)
	go func() {
		_, err := command(t.Context(), "call", "--answer", "--user", "alice", "--password", "open sesame", "--server", addr, "--duration", "1s")
		answered <- err
	}()
	var out string
	var err error
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) { // until it waits
		if out, err = command(t.Context(), "carrier", "call", "+4930555", "--data", dir, "--account", "alice"); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"180 Ringing", "answered", "ended by peer", "heard 1.0 s at -10.0 dBm0; in the last second 440.0 Hz"} {
		if !strings.Contains(out, want) {
			t.Errorf("output doesn't say %q:\n%s", want, out)
		}
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestCarrierFlags(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() (carrier.Config, error){
		"listen":     func() (carrier.Config, error) { return carrierConfig("localhost", dir, "", nil) },
		"account":    func() (carrier.Config, error) { return carrierConfig(demoCarrier, dir, "", []string{"a"}) },
		"twice":      func() (carrier.Config, error) { return carrierConfig(demoCarrier, dir, "", []string{"a:b", "a:c"}) },
		"record":     func() (carrier.Config, error) { return carrierConfig(demoCarrier, dir, file, nil) },
		"no records": func() (carrier.Config, error) { return carrierConfig(demoCarrier, dir, file+"x", nil) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	cfg, err := carrierConfig(demoCarrier, dir, "", []string{"patchbay:mine:own", "x:y"})
	if err != nil || len(cfg.Accounts) != 2 || cfg.Accounts[0].Password != "mine:own" {
		t.Errorf("%+v, %v; want the demo's account with the password given", cfg.Accounts, err)
	}
	pw, err := demoPassword(dir, demoUser)
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err = carrierConfig(demoCarrier, dir, "", nil); err != nil || len(cfg.Accounts) != 1 || cfg.Accounts[0].Password != string(pw) {
		t.Errorf("%d accounts, %v; want the demo's with its password", len(cfg.Accounts), err)
	}
}
