// Package retention decides which backups may go. It is a calculation: it reads
// no clock, no catalogue and no store, and removes nothing.
//
// What always holds, whatever the policy: a pinned backup stays; a site's newest
// whole backup stays; a backup dated after now stays; and a backup that lacks
// something, or was taken of a site just before a restore, pushes nothing out.
package retention

import (
	"strings"
	"time"
)

// Policy says how many backups of a site are kept. Each count keeps the newest
// backup of that many of the newest periods that have one: days without a
// backup use up nothing, so no backup goes merely because time has passed. The
// zero Policy keeps everything.
type Policy struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly int

	MinAge time.Duration // nothing younger goes
	// Safety is how long the backups that restores take of a site before they
	// change it are kept beyond their pin; 0 is DefaultSafety.
	Safety time.Duration
	// Location is where days, weeks (ISO 8601: from Monday), months and years begin; nil is UTC.
	Location *time.Location
}

// DefaultSafety is Policy.Safety where it is not set.
const DefaultSafety = 7 * 24 * time.Hour

// Counts reports whether any count is set: without one everything stays.
func (p Policy) Counts() bool {
	return p.Last > 0 || p.Hourly > 0 || p.Daily > 0 || p.Weekly > 0 || p.Monthly > 0 || p.Yearly > 0
}

// Backup is what retention must know of one.
type Backup struct {
	ID     string
	Site   string
	Client string // empty if the site belongs to nobody in particular
	At     time.Time
	Size   int64 // bytes
	Pinned bool
	// Lacking: something was left out of it, or a check has found damage.
	Lacking bool
	// Safety: a restore took it of the site as it was, which is often broken.
	Safety bool
}

// whole reports whether it can stand for its site at its time.
func (b *Backup) whole() bool { return !b.Lacking && !b.Safety }

// Budgets bound the sum of the sizes of what is kept, in bytes; 0 is no bound.
type Budgets struct {
	Total    int64
	Clients  map[string]int64
	Standard int64 // of each client that Clients does not name
}

func (b Budgets) client(name string) int64 {
	if most, ok := b.Clients[name]; ok {
		return most
	}
	if name == "" {
		return 0
	}
	return b.Standard
}

// Decision is what becomes of one backup, and why.
type Decision struct {
	Backup  *Backup
	Keep    bool
	Reasons []Reason // at least one
}

// Why returns the reasons in words.
func (d Decision) Why() string {
	words := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		words[i] = r.String()
	}
	return strings.Join(words, ", ")
}

// Excess is a budget that is exceeded although nothing more may go.
type Excess struct {
	Client string // empty: the budget of all
	Size   int64  // bytes that are kept
	Most   int64  // bytes that the budget allows
}

// Plan is what becomes of all backups.
type Plan struct {
	Decisions []Decision // by site, then newest first
	Excess    []Excess
	Freed     int64 // bytes of what goes
}

// tolerance is by how much a backup's time may lie ahead of now before it counts as dated in the future.
const tolerance = 5 * time.Minute

// Make decides about all backups at once, at the time now. They come by site,
// each newest first (see Compare), and are only read. The policy is asked for
// once a site, with the client of its oldest backup.
func Make(now time.Time, sites [][]Backup, policy func(site, client string) Policy, budgets Budgets) Plan {
	count := 0
	for _, backups := range sites {
		count += len(backups)
	}
	plan := Plan{Decisions: make([]Decision, count)}
	out := plan.Decisions
	for _, backups := range sites {
		oldest := &backups[len(backups)-1]
		decideSite(now, policy(oldest.Site, oldest.Client), backups, out[:len(backups)])
		out = out[len(backups):]
	}
	plan.Excess = budgets.apply(plan.Decisions)
	for _, d := range plan.Decisions {
		if !d.Keep {
			plan.Freed += d.Backup.Size
		}
	}
	return plan
}

// Compare orders backups by site, then newest first.
func Compare(a, b Backup) int {
	if c := strings.Compare(a.Site, b.Site); c != 0 {
		return c
	}
	if c := b.At.Compare(a.At); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}
