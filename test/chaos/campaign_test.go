package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func names(c *campaign) (out []string) {
	for _, f := range c.faults {
		out = append(out, f.String())
	}
	return out
}

// TestSeedMakesTheSameFaults: a report's command strikes again what it reports,
// at the same instant.
func TestSeedMakesTheSameFaults(t *testing.T) {
	list := func(seed uint64, only string) *campaign {
		c := &campaign{seed: seed, short: true}
		c.list(1, regexp.MustCompile(only))
		return c
	}
	all := list(7, "")
	if !slices.Equal(names(all), names(list(7, ""))) || slices.Equal(names(all), names(list(8, ""))) {
		t.Error("the faults do not follow from the seed")
	}
	if n := len(all.faults); n < 60 || n > 75 {
		t.Errorf("the short form has %d faults", n)
	}
	for _, f := range all.faults {
		one := list(7, "^"+regexp.QuoteMeta(f.String())+"$")
		if len(one.faults) == 0 || one.faults[0].random.Uint64() != f.random.Uint64() {
			t.Errorf("%s is not struck again as it was", f)
		}
	}
}

// TestFullFormStrikesAThousandInstants: at least.
func TestFullFormStrikesAThousandInstants(t *testing.T) {
	c := &campaign{seed: 1}
	c.list(1, regexp.MustCompile("at random"))
	if len(c.faults) < 1000 {
		t.Errorf("%d random instants", len(c.faults))
	}
}

func TestTableCountsOutcomes(t *testing.T) {
	c := &campaign{out: io.Discard}
	for _, outcome := range []string{wasOld, wasOld, wasNew, wasMixed} {
		c.count("kill", outcome)
	}
	c.count("cancel", wasOld)
	var out strings.Builder
	if err := c.print(&out, []string{"cancel", "kill", "never"}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	if want := "fault strikes old new mixed cancel 1 1 0 0 kill 4 2 1 1 all 5 3 1 1"; got != want || c.mixed() != 1 || c.sum() != 5 {
		t.Errorf("got %q, want %q", got, want)
	}
}
