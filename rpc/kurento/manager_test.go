package kurento_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// manager is the rig's.
func (r *rig) manager() *rpc.Object {
	r.Helper()
	o, err := r.a.Object("manager_ServerManager")
	if err != nil {
		r.Fatal(err)
	}
	return o
}

func TestInfo(t *testing.T) {
	r := newRig(t, kurento.Config{Version: "1.2.3", Metadata: "the operator's", Sessions: func(ctx context.Context) []string {
		scope, ok := rpc.ScopeOf(ctx)
		return []string{scope.Name(), strconv.FormatBool(ok)}
	}})
	var info kurentoInfo
	if err := json.Unmarshal([]byte(r.call(r.manager(), "getInfo", "")), &info); err != nil {
		t.Fatal(err)
	}
	if info.Version != "1.2.3" || info.Type != "KMS" || !slices.Equal(info.Capabilities, []string{"transactions"}) {
		t.Errorf("info %+v", info)
	}
	factories := map[string][]string{}
	for _, m := range info.Modules {
		factories[m.Name] = m.Factories
		if m.Version == "" {
			t.Errorf("module %s has no version", m.Name)
		}
	}
	var api struct {
		Modules []struct {
			Name      string
			Factories []string
		}
	}
	if err := json.Unmarshal(table(t), &api); err != nil {
		t.Fatal(err)
	}
	for _, m := range api.Modules {
		if !slices.Equal(factories[m.Name], m.Factories) {
			t.Errorf("module %s makes %q, Kurento's %q", m.Name, factories[m.Name], m.Factories)
		}
	}
	if got := r.call(r.manager(), "getSessions", ""); got != `["a","true"]` {
		t.Errorf("sessions %s", got)
	}
	if got := r.call(r.manager(), "getMetadata", ""); got != `"the operator's"` {
		t.Errorf("metadata %s", got)
	}
	if got := r.call(r.manager(), "getPipelines", ""); got != `["`+r.pipe.ID()+`"]` {
		t.Errorf("pipelines %s", got)
	}
	if b, err := r.space.Tenant("b").Invoke(context.Background(), "manager_ServerManager", "getPipelines", nil); err != nil || string(b) != "[]" {
		t.Errorf("another tenant's pipelines %s, %v", b, err)
	}
}

type kurentoInfo struct {
	Version, Type string
	Modules       []struct {
		Name, Version string
		Factories     []string
	}
	Capabilities []string
}

func TestKmd(t *testing.T) {
	r := newRig(t, kurento.Config{})
	for module, class := range map[string]string{"core": "PassThrough", "elements": "WebRtcEndpoint", "filters": "ZBarFilter", "test": ""} {
		var text string
		if err := json.Unmarshal([]byte(r.call(r.manager(), "getKmd", `{"moduleName":"`+module+`"}`)), &text); err != nil {
			t.Fatal(err)
		}
		var kmd struct {
			Name          string
			RemoteClasses []struct{ Name, Doc string }
		}
		if err := json.Unmarshal([]byte(text), &kmd); err != nil || kmd.Name != module {
			t.Errorf("kmd of %s is %.100s, %v", module, text, err)
		}
		found := class == ""
		for _, c := range kmd.RemoteClasses {
			found = found || c.Name == class
			if !strings.HasSuffix(c.Doc, ".") {
				t.Errorf("class %s is documented as %q, want a sentence", c.Name, c.Doc)
			}
		}
		if !found {
			t.Errorf("kmd of %s lacks %s", module, class)
		}
	}
	r.refused(rpc.Undefined, r.manager(), "getKmd", `{"moduleName":"nothing"}`)
}

func TestMeasurements(t *testing.T) {
	r := newRig(t, kurento.Config{})
	number := func(text string) float64 {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Error(err)
		}
		return f
	}
	stop := make(chan struct{})
	go func() { // something to measure
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	begin := time.Now()
	used := number(r.call(r.manager(), "getUsedCpu", `{"interval":200}`))
	close(stop)
	if took := time.Since(begin); took < 200*time.Millisecond || used <= 0 || used > 101 {
		t.Errorf("%v %% of the processors, measured for %s", used, took)
	}
	if n := number(r.call(r.manager(), "getCpuCount", "")); n < 1 {
		t.Errorf("%v processors", n)
	}
	if kb := number(r.call(r.manager(), "getUsedMemory", "")); kb < 1000 || kb > 10_000_000 {
		t.Errorf("%v KiB", kb)
	}
	r.refused(rpc.BadParam, r.manager(), "getUsedCpu", "")
	r.refused(rpc.IllegalParam, r.manager(), "getUsedCpu", `{"interval":0}`)
	r.refused(rpc.IllegalParam, r.manager(), "getUsedCpu", `{"interval":10001}`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if _, err := r.a.Invoke(ctx, "manager_ServerManager", "getUsedCpu", []byte(`{"interval":10000}`)); err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("a call that was given up: %v after %s", errors.Unwrap(err), time.Since(begin))
	}
}
