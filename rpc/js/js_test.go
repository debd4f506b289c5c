package js

import (
	"os"
	"strings"
	"testing"
)

// The index of the toy module: all kinds of members.
func TestIndex(t *testing.T) {
	kmd, err := os.ReadFile("../testdata/toy.kmd.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Index(kmd)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"exports.Volume = remoteClass('Volume', core.abstracts.MediaElement, {",
		"mediaPipeline: { type: 'kurento.MediaPipeline', required: true }",
		"gain: { type: 'float' }",
		"['getGain', []]", "['setGain', ['gain']]", "['add', ['a', 'b']]", "events: ['Started']",
		"exports.complexTypes.LevelStats = register('toy', 'LevelStats', core.complexTypes.ComplexType, ['level'])",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the index lacks %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", got)
	}
	if _, err := Index([]byte("{")); err == nil {
		t.Error("half a description is taken")
	}
}

func TestQuote(t *testing.T) {
	if got := quote("a'b\\c\r\nd"); got != `'a\'b\\c\r\nd'` {
		t.Errorf("quoted %s", got)
	}
}
