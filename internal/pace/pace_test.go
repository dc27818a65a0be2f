package pace

import (
	"runtime/debug"
	"testing"
)

func TestTheOperatorsPaceHolds(t *testing.T) {
	const before = 123
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	for gogc, want := range map[string]int{"": percent, "200": before, "off": before} {
		t.Setenv("GOGC", gogc)
		debug.SetGCPercent(before)
		Daemon(1 << 20)
		if got := debug.SetGCPercent(before); got != want {
			t.Errorf("GOGC=%s: %d, want %d", gogc, got, want)
		}
	}
}
