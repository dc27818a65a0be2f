package model

import "time"

// Scope says which sites something is for: all, those of a client, or some by
// name. Exactly one of the three is set.
type Scope struct {
	All    bool
	Client string
	Sites  []string
}

// Schedule is when backups, or drills, happen by themselves. See internal/schedule
// for what Cron, Zone and Window mean.
type Schedule struct {
	Name      string
	Cron      string
	Zone      string // of the IANA database; empty for UTC
	Window    string
	Spread    *time.Duration
	Skip      bool // leave out what was missed, in place of making up for it once
	Disabled  bool
	Scope     Scope
	Format    string // "tar.zst" or "tar.gz"; empty for the default
	CreatedAt time.Time
	Kind      TaskKind // TaskDrill; empty for backups
}

// ScheduleState is how far a schedule has come for one site.
type ScheduleState struct {
	Schedule string
	Site     string
	Handled  time.Time // all ticks up to it have run or were reported
	Pending  time.Time // the tick of a run that is being submitted; zero if there is none
	TaskID   string    // of the last run
	RunAt    time.Time // when the last run was submitted; zero if there was none
	Missed   int64     // ticks that came to nothing, in all
	MissedAt time.Time // the last of them
	Why      string    // why
}

// Retention says which backups are kept of some sites; see internal/retention.
// Client and Site are empty for what holds where nothing more particular does.
type Retention struct {
	Client, Site                                 string // at most one of them
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
	MinAge, Safety                               time.Duration
	Zone                                         string
	MaxSize                                      int64 // bytes; of all backups, or of a client's; 0 for no bound
}

// Client is a customer that owns sites, and what bounds it.
type Client struct {
	Name     string
	MaxTasks int   // at the same time; 0 for no bound of its own
	MaxSize  int64 // bytes of its backups; 0 for no bound
}

// Inventory is all that an operator says of what is backed up, and how.
type Inventory struct {
	Servers    []Server
	Clients    []Client // those that were made as such, or have a limit
	Sites      []Site
	Schedules  []Schedule
	Retentions []Retention
}

// Drill is the last one of a site that has shown anything.
type Drill struct {
	Site    string
	Backup  string
	At      time.Time // when it ended
	TaskID  string
	Problem string // why the backup could not be restored; empty if it could
}
