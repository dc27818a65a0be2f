package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/agent/gentle"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// levels are the priorities that an agent takes, true for the lowest.
type levels []bool

func (l *levels) take(lowest bool) { *l = append(*l, lowest) }

func (l *levels) want(t *testing.T, want ...bool) {
	t.Helper()
	if !slices.Equal(*l, want) {
		t.Errorf("priorities %v, want %v", *l, want)
	}
}

// A dump hurries until its snapshot is taken, because tables may be locked, and gives way from then on.
func TestADumpGivesWayOnceItReads(t *testing.T) {
	var seen levels
	a := &Agent{gate: gentle.New(nil, seen.take)}
	files := a.gate.Begin()
	seen.want(t, true)
	var o dbdump.DumpOptions
	done := a.giveWayDumping(true, &o)
	seen.want(t, true, false)
	for range 3 {
		if err := o.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seen.want(t, true, false, true)
	files()
	seen.want(t, true, false, true)
	done()
	seen.want(t, true, false, true, false)
}

// What holds a site up hurries to its end.
func TestADumpThatHoldsUpHurries(t *testing.T) {
	for name, row := range map[string]struct {
		gentle bool
		o      dbdump.DumpOptions
	}{
		"not asked to be gentle": {false, dbdump.DumpOptions{}},
		"tables stay locked":     {true, dbdump.DumpOptions{LockTables: true}},
	} {
		var seen levels
		a := &Agent{gate: gentle.New(nil, seen.take)}
		other := a.gate.Begin()
		done := a.giveWayDumping(row.gentle, &row.o)
		if row.o.Pause != nil {
			t.Errorf("%s: it pauses", name)
		}
		seen.want(t, true, false)
		done()
		seen.want(t, true, false, true)
		other()
	}
}

// On a busy machine a backup does one thing at a time, whatever it is; a setting of the operator's stands.
func TestABusyMachineGetsOneThingAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a := &Agent{gate: gentle.New(func() (time.Duration, bool) { return time.Since(began), true }, nil)}
		look := func() (files archive.SourceOptions, one, set dbdump.DumpOptions) {
			set.Parallel = 3
			for _, done := range []func(){a.giveWay(true, &files), a.giveWayDumping(true, &one), a.giveWayDumping(true, &set)} {
				done()
			}
			return files, one, set
		}
		if files, one, set := look(); files.Workers != 0 || one.Parallel != 0 || set.Parallel != 3 {
			t.Errorf("on a quiet machine: %d workers, %d and %d connections", files.Workers, one.Parallel, set.Parallel)
		}
		done := a.gate.Begin()
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if err := a.gate.Pause(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		done()
		if files, one, set := look(); files.Workers != 1 || one.Parallel != 1 || set.Parallel != 3 {
			t.Errorf("on a busy machine: %d workers, %d and %d connections", files.Workers, one.Parallel, set.Parallel)
		}
	})
}

// An agent whose configuration has it so gives no way.
func TestAnAgentWithoutAGateGivesNoWay(t *testing.T) {
	a := &Agent{}
	var files archive.SourceOptions
	var o dbdump.DumpOptions
	a.giveWay(true, &files)()
	a.giveWayDumping(true, &o)()
	a.hurry("/any")()
	if files.Pause != nil || o.Pause != nil {
		t.Error("it pauses")
	}
}
