package main

import (
	"context"
	"regexp"
	"slices"
	"time"
)

// kind is a row of the table: a fault that is struck again and again.
type kind struct {
	row         string
	short, full int // how often
	ops         []string
	strike      strike
	from        func(r *rig) string
	form        string                                  // of the rig
	want        string                                  // the outcome that alone is right; "": old or new
	hand        bool                                    // it may take a person: the task is retried when the harm is mended
	rest        func(ctx context.Context, r *rig) error // after the verdict
}

var everyOp = []string{"restore", "restore", "with grace", "undo", "cancelled", "files only", "db only"}

// kinds are all faults. The numbers of the full form are in proportion to
// what -strikes asks for.
func kinds() []kind {
	var all []kind
	for _, victim := range []string{"master", "web agent", "db agent", "mariadbd"} {
		all = append(all,
			kind{row: "kill " + victim + " at random", short: 5, full: 250, ops: everyOp, strike: killAtRandom(victim, 1)},
			kind{row: "kill " + victim + " after a record", short: 3, full: 60, ops: everyOp, strike: killAtRecord(victim, false)},
			kind{row: "kill " + victim + " before a record", short: 3, full: 60, ops: everyOp, strike: killAtRecord(victim, true)})
	}
	return append(all,
		kind{row: "kill master twice", short: 2, full: 60, ops: everyOp, strike: killAtRandom("master", 2)},
		kind{row: "kill master and agents", short: 2, full: 60, ops: everyOp, strike: killAtRandom("all", 1)},
		kind{row: "kill the web server's machine", short: 1, full: 40, ops: everyOp, strike: killAtRandom("web server", 1)},
		kind{row: "cancel", short: 3, full: 60, ops: []string{"restore", "with grace", "files only", "db only", "undo"}, strike: cancelAtRandom},
	)
}

// environment are the faults of networks and disks, and of what is restored.
func environment() []kind {
	whole := []string{"restore", "with grace"}
	return append([]kind{
		{row: "partition: web agent", short: 1, full: 20, ops: everyOp, strike: partition("web agent", "drop", 8*time.Second)},
		{row: "partition: db agent", short: 1, full: 20, ops: everyOp, strike: partition("db agent", "drop", 8*time.Second)},
		{row: "partition: database", short: 1, full: 20, ops: everyOp, strike: partition("database", "drop", 8*time.Second)},
		{row: "partition of a minute", full: 6, ops: everyOp, strike: partition("web agent", "drop", time.Minute)},
		{row: "RST: web agent", short: 1, full: 20, ops: everyOp, strike: partition("web agent", "reject with tcp reset", time.Second)},
		{row: "RST: db agent", short: 1, full: 20, ops: everyOp, strike: partition("db agent", "reject with tcp reset", time.Second)},
		{row: "disk full: web root", short: 1, full: 20, ops: everyOp, strike: until(patience/2, full("web"))},
		{row: "disk full: database", short: 1, full: 20, ops: everyOp, strike: until(15*time.Second, full("db")), rest: restartDatabase},
		{row: "disk full: master", short: 1, full: 20, ops: everyOp, strike: until(5*time.Second, full("master"))},
		{row: "inodes gone: web root", short: 1, full: 20, ops: everyOp, strike: until(patience/2, noInodes("web"))},
		{row: "inodes gone: master", full: 20, ops: everyOp, strike: until(5*time.Second, noInodes("master"))},
		{row: "read-only: web root", short: 1, full: 20, ops: everyOp, strike: until(5*time.Second, readOnly("web")), hand: true},
		{row: "EIO: web root", full: 20, ops: []string{"restore"}, strike: until(5*time.Second, inputOutput), form: xfs, hand: true},
		{row: "last statement fails", short: 1, full: 4, ops: whole, strike: nothing, want: wasOld, from: func(r *rig) string { return r.poison }},
		{row: "vhost does not pass", short: 1, full: 4, ops: whole, strike: atRecord("done write_settings", badVhost), want: wasOld},
		{row: "probe gets 500", short: 1, full: 4, ops: whole, strike: atRecord("plan", broken500), want: wasOld},
	}, clusters()...)
}

// clusters are the faults of one of two web servers.
func clusters() []kind {
	var all []kind
	for _, label := range []string{"begun exchange_trees", "done exchange_trees", "begun write_vhost"} {
		for _, lasts := range []time.Duration{0, 10 * time.Second} {
			all = append(all, kind{row: "one of two web servers loses power", full: 10, ops: []string{"restore"}, strike: powerLoss(label, lasts), form: cluster})
		}
	}
	all[3].short = 1
	return append(all,
		kind{row: "kill one of two at random", full: 40, ops: everyOp, strike: killAtRandom("web server", 1), form: cluster},
		kind{row: "partition: one of two", full: 20, ops: everyOp, strike: partition("web agent", "drop", 20*time.Second), form: cluster})
}

// list makes the faults of a campaign, shuffled, and returns the rows of its
// table.
func (c *campaign) list(factor float64, only *regexp.Regexp) (order []string) {
	numbers := map[string]int{}
	for _, k := range append(kinds(), environment()...) {
		if !slices.Contains(order, k.row) {
			order = append(order, k.row)
		}
		n := k.short
		if !c.short {
			n = max(1, int(float64(k.full)*factor))
		}
		for range n {
			if f := c.fault(k, numbers[k.row]); only.MatchString(f.String()) {
				c.faults = append(c.faults, f)
			}
			numbers[k.row]++
		}
	}
	c.random("order", 0).Shuffle(len(c.faults), func(i, j int) { c.faults[i], c.faults[j] = c.faults[j], c.faults[i] })
	return order
}

func (c *campaign) fault(k kind, number int) *fault {
	f := &fault{kind: k, number: number, random: c.random(k.row, number)}
	if c.short { // few strikes are to meet different records
		f.number = f.random.IntN(1000)
	}
	f.op = operationOf(k.ops[f.random.IntN(len(k.ops))])
	return f
}
