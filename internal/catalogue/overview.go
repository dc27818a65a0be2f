package catalogue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
)

// Trouble is the worst of what is wrong with a site.
type Trouble string

// The troubles, the worst first.
const (
	TroubleOperator Trouble = "needs_operator" // a task needs an operator
	TroubleFailed   Trouble = "failed"         // the last task that ended has failed
	TroubleNoBackup Trouble = "no_backup"      // there is no good backup
	TroubleDrill    Trouble = "drill_failed"   // the last drill could not restore its backup
	TroubleStale    Trouble = "stale"          // the last good one is too old
	TroubleNone     Trouble = "none"
	TroubleDisabled Trouble = "disabled" // and no task needs an operator
)

// Standing is how a site fares.
type Standing struct {
	Site    string
	Trouble Trouble
}

// selectStandings says of each site whether a task needs an operator, whether its last drill has failed, and how the last
// task that ended has ended.
const selectStandings = `SELECT s.name, s.disabled, s.name IN (SELECT site FROM tasks WHERE state = 'needs_operator'),
	s.name IN (SELECT site FROM drills WHERE problem <> ''),
	coalesce((SELECT t.state FROM tasks AS t WHERE t.site = s.name AND t.finished_at <> 0 ORDER BY t.seq DESC LIMIT 1), '')
	FROM sites AS s WHERE (?1 = '' OR s.client = ?1) AND (?2 = '' OR instr(s.name, ?2) OR instr(lower(s.client), ?2)
	OR s.name IN (SELECT site FROM site_names WHERE instr(name, ?2))) ORDER BY s.name`

// fate is what Standings weighs.
type fate struct {
	site            string
	disabled, stuck bool
	failedDrill     bool // the last drill has failed
	ended           model.TaskState
	good            time.Time // the last good backup; zero if there is none
}

func (f *fate) trouble(staleBefore time.Time) Trouble {
	switch {
	case f.stuck:
		return TroubleOperator
	case f.disabled:
		return TroubleDisabled
	case f.ended == model.TaskFailed:
		return TroubleFailed
	case f.good.IsZero():
		return TroubleNoBackup
	case f.failedDrill:
		return TroubleDrill
	case f.good.Before(staleBefore):
		return TroubleStale
	}
	return TroubleNone
}

// worstFirst is the order of the troubles.
func worstFirst() []Trouble {
	return []Trouble{TroubleOperator, TroubleFailed, TroubleNoBackup, TroubleDrill, TroubleStale, TroubleNone, TroubleDisabled}
}

// Standings returns how each site fares, those in trouble first and then by name. An empty client is all; search is
// looked for in names, aliases and clients, in either case. A last good backup from before staleBefore is stale.
func (c *Catalogue) Standings(ctx context.Context, client, search string, staleBefore time.Time) ([]Standing, error) {
	fates, err := c.fates(ctx, question{client, strings.ToLower(search)})
	if err != nil {
		return nil, fmt.Errorf("overview of sites: %w", err)
	}
	byTrouble := map[Trouble][]Standing{}
	for i := range fates {
		t := fates[i].trouble(staleBefore)
		byTrouble[t] = append(byTrouble[t], Standing{fates[i].site, t})
	}
	all := make([]Standing, 0, len(fates))
	for _, t := range worstFirst() {
		all = append(all, byTrouble[t]...)
	}
	return all, nil
}

// fates are read anew only if anything was written since they were last asked for. They are shared, and must not be changed.
func (c *Catalogue) fates(ctx context.Context, q question) ([]fate, error) {
	list, known, version := c.recall.look(ctx, c.read, q)
	if known {
		return list, nil
	}
	good, err := c.lastGood(ctx)
	if err != nil {
		return nil, err
	}
	list, err = collect(ctx, c.read, func(row scanner) (f fate, err error) {
		err = row.Scan(&f.site, &f.disabled, &f.stuck, &f.failedDrill, &f.ended)
		f.good = good[f.site]
		return f, err
	}, selectStandings, q.client, q.search)
	if err == nil {
		c.recall.keep(version, q, list)
	}
	return list, err
}

// LatestGood returns the newest backup of a site to count on, as Standings does; errs.NotFound if there is none.
func (c *Catalogue) LatestGood(ctx context.Context, site string) (model.Backup, error) {
	return c.newest(ctx, site, `site = ? AND check_problem = '' AND origin <> 'safety'`, site)
}

// SiteStates returns how far schedules have come for a site.
func (c *Catalogue) SiteStates(ctx context.Context, site string) ([]model.ScheduleState, error) {
	return collect(ctx, c.read, scanState, `SELECT `+stateColumns+` FROM schedule_states WHERE site = ? ORDER BY schedule`, site)
}
