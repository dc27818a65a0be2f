package dbdump

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is guessed between two keys lies between them in the order of most collations, or begins as one of them does.
func TestMiddles(t *testing.T) {
	for _, tt := range []struct {
		low, up string
		want    []string
	}{
		{"", "", nil},
		{"same", "same", nil},
		{"a", "z", []string{"m", "z", "a0"}},
		{"Abc", "zeta", []string{"m", "z", "An"}},
		{"node:1", "node:9", []string{"node:5", "node:9", "node:10"}},
		{"cache", "cache:x", []string{"cache'", "cache:"}},
		{"0f3a", "ffff", []string{"7", "f", "0p"}},
		{"Straße", "strasse", []string{"Stras", "Straßo", "s", "Sw"}},
		{"aa", "ab", []string{"ab", "aa0"}},
		{"ä", "äö", []string{"ä{", "äö"}},
		{"üa", "üä", []string{"ü¢", "üä", "üa0"}},
		{"\U0010FFFE", "\U0010FFFF", []string{"\U0010FFFF", "\U0010FFFE0"}},
	} {
		if diff := cmp.Diff(tt.want, middles(tt.low, tt.up)); diff != "" {
			t.Errorf("%q to %q: %s", tt.low, tt.up, diff)
		}
	}
}
