package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

// printPlan prints the steps of a restore, and below them what it needs and changes.
func (a *app) printPlan(plan *sitekeepv1.PlanRestoreResponse) error {
	table := newTable(a.out)
	for i, step := range plan.GetSteps() {
		down := ""
		if step.GetDowntime() {
			down = "down"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", i+1, printable(step.GetName()),
			orDash(printable(strings.Join(step.GetServers(), ","))), down, printable(step.GetDescription()))
		if step.GetUndo() != "" {
			fmt.Fprintf(table, "\t\t\t\tundo: %s\n", printable(step.GetUndo()))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, f := range plan.GetFiles() {
		printFiles(a.out, f)
	}
	printTables(a.out, plan.GetTables())
	printRoom(a.out, plan.GetRoom())
	printDowntime(a.out, plan)
	return nil
}

func printFiles(out io.Writer, f *sitekeepv1.PlanFiles) {
	fmt.Fprintf(out, "\nfiles on %s: ", printable(f.GetServer()))
	if f.GetAdded().GetEntries()+f.GetChanged().GetEntries()+f.GetRemoved().GetEntries() == 0 {
		fmt.Fprintln(out, "as in the backup")
		return
	}
	fmt.Fprintf(out, "%s added, %s changed, %s removed\n", counted(f.GetAdded()), counted(f.GetChanged()), counted(f.GetRemoved()))
	for _, sort := range []struct {
		mark string
		*sitekeepv1.PlanDifference
	}{{"+", f.GetAdded()}, {"*", f.GetChanged()}, {"-", f.GetRemoved()}} {
		for _, path := range sort.GetPaths() {
			fmt.Fprintf(out, "  %s %s\n", sort.mark, printable(path))
		}
		if more := sort.GetEntries() - uint64(len(sort.GetPaths())); more > 0 {
			fmt.Fprintf(out, "  %s and %d more\n", sort.mark, more)
		}
	}
}

func counted(d *sitekeepv1.PlanDifference) string {
	return fmt.Sprintf("%d (%s)", d.GetEntries(), bytesize.Text(int64(d.GetBytes())))
}

func printTables(out io.Writer, tables []*sitekeepv1.PlanTable) {
	if len(tables) == 0 {
		return
	}
	fmt.Fprintln(out, "\ntables:")
	for _, t := range tables {
		name, now, then := printable(t.GetName()), t.GetLiveRows(), t.GetRows()
		switch t.GetChange() {
		case "added":
			fmt.Fprintf(out, "  + %s: %d rows\n", name, then)
		case "removed":
			fmt.Fprintf(out, "  - %s: %d rows\n", name, now)
		default:
			fmt.Fprintf(out, "  * %s: %d rows in place of %d\n", name, then, now)
		}
	}
}

func printRoom(out io.Writer, rooms []*sitekeepv1.PlanRoom) {
	if len(rooms) > 0 {
		fmt.Fprintln(out)
	}
	for _, r := range rooms {
		free := "nobody knows how much is free"
		if r.GetFreeBytes() > 0 {
			free = bytesize.Text(int64(r.GetFreeBytes())) + " free"
		}
		fmt.Fprintf(out, "room on %s, %s: at most %s needed, %s\n", printable(r.GetServer()), printable(r.GetPlace()), bytesize.Text(int64(r.GetNeededBytes())), free)
	}
}

func printDowntime(out io.Writer, plan *sitekeepv1.PlanRestoreResponse) {
	if plan.GetDowntimeBasis() == "" {
		return
	}
	expected := "not known"
	if ms := plan.GetExpectedDowntimeMs(); ms > 0 {
		expected = (time.Duration(ms) * time.Millisecond).String()
	}
	fmt.Fprintf(out, "\nexpected downtime: %s (%s)\n", expected, printable(plan.GetDowntimeBasis()))
}
