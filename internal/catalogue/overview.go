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
	TroubleStale    Trouble = "stale"          // the last good one is too old
	TroubleNone     Trouble = "none"
	TroubleDisabled Trouble = "disabled" // and no task needs an operator
)

// Standing is how a site fares.
type Standing struct {
	Site    string
	Trouble Trouble
}

// goodBackup chooses, of a site's backups, those to count on: no check has found damage, and they were not taken of what
// a restore was about to replace.
const goodBackup = `b.site = s.name AND b.check_problem = '' AND b.origin <> 'safety'`

const selectStandings = `WITH o AS (SELECT s.name, s.disabled,
	s.name IN (SELECT site FROM tasks WHERE state = 'needs_operator') AS stuck,
	(SELECT t.state FROM tasks AS t WHERE t.site = s.name AND t.finished_at <> 0 ORDER BY t.seq DESC LIMIT 1) AS ended,
	coalesce((SELECT b.created_at FROM backups AS b WHERE ` + goodBackup + ` ORDER BY b.created_at DESC LIMIT 1), 0) AS good
	FROM sites AS s WHERE (?1 = '' OR s.client = ?1) AND (?2 = '' OR instr(s.name, ?2) OR instr(lower(s.client), ?2)
	OR s.name IN (SELECT site FROM site_names WHERE instr(name, ?2))))
	SELECT name, CASE WHEN stuck THEN 'needs_operator' WHEN disabled THEN 'disabled' WHEN ended = 'failed' THEN 'failed'
	WHEN good = 0 THEN 'no_backup' WHEN good < ?3 THEN 'stale' ELSE 'none' END AS trouble
	FROM o ORDER BY stuck DESC, CASE trouble WHEN 'failed' THEN 1 WHEN 'no_backup' THEN 2 WHEN 'stale' THEN 3 WHEN 'none' THEN 4 ELSE 5 END, name`

// Standings returns how each site fares, those in trouble first and then by name. An empty client is all; search is
// looked for in names, aliases and clients, in either case. A last good backup from before staleBefore is stale.
func (c *Catalogue) Standings(ctx context.Context, client, search string, staleBefore time.Time) ([]Standing, error) {
	list, err := collect(ctx, c.read, func(row scanner) (s Standing, err error) {
		err = row.Scan(&s.Site, &s.Trouble)
		return s, err
	}, selectStandings, client, strings.ToLower(search), nanos(staleBefore))
	if err != nil {
		return nil, fmt.Errorf("overview of sites: %w", err)
	}
	return list, nil
}

// LatestGood returns the newest backup of a site to count on, as Standings does; errs.NotFound if there is none.
func (c *Catalogue) LatestGood(ctx context.Context, site string) (model.Backup, error) {
	return c.newest(ctx, site, `site = ? AND check_problem = '' AND origin <> 'safety'`, site)
}

// SiteStates returns how far schedules have come for a site.
func (c *Catalogue) SiteStates(ctx context.Context, site string) ([]model.ScheduleState, error) {
	return collect(ctx, c.read, scanState, `SELECT `+stateColumns+` FROM schedule_states WHERE site = ? ORDER BY schedule`, site)
}
