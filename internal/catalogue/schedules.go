package catalogue

import (
	"context"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const scheduleColumns = `name, cron, zone, time_window, spread, skip, disabled, everything, client, sites, format, created_at, kind`

func scanSchedule(row scanner) (s model.Schedule, err error) {
	var spread int64
	err = row.Scan(&s.Name, &s.Cron, &s.Zone, &s.Window, &spread, &s.Skip, &s.Disabled, &s.Scope.All, &s.Scope.Client,
		listInto[string]{&s.Scope.Sites}, &s.Format, timeInto{&s.CreatedAt}, &s.Kind)
	if spread >= 0 {
		d := time.Duration(spread)
		s.Spread = &d
	}
	return s, err
}

func noSchedule(name string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep schedule list", "no schedule %q", name)
}

// PutSchedule records a schedule, or changes the one of its name. One that is
// changed keeps its time of creation and, for each site, how far it has come.
func (c *Catalogue) PutSchedule(ctx context.Context, s model.Schedule) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.PutSchedule(ctx, s) })
}

// PutSchedule is Catalogue.PutSchedule within a transaction.
func (tx *Tx) PutSchedule(ctx context.Context, s model.Schedule) error {
	// One that was switched off begins anew: what came meanwhile was not missed.
	_, err := tx.exec(ctx, `DELETE FROM schedule_states WHERE schedule IN (SELECT name FROM schedules WHERE name = ? AND disabled = 1)`, s.Name)
	if err != nil {
		return err
	}
	spread := int64(-1)
	if s.Spread != nil {
		spread = int64(*s.Spread)
	}
	_, err = tx.exec(ctx, `INSERT INTO schedules (`+scheduleColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, time_window = excluded.time_window,
		spread = excluded.spread, skip = excluded.skip, disabled = excluded.disabled, everything = excluded.everything,
		client = excluded.client, sites = excluded.sites, format = excluded.format, kind = excluded.kind`,
		s.Name, s.Cron, s.Zone, s.Window, spread, s.Skip, s.Disabled, s.Scope.All, s.Scope.Client, jsonOf(s.Scope.Sites), s.Format, nanos(s.CreatedAt), s.Kind)
	if err != nil {
		return fmt.Errorf("record schedule %s: %w", s.Name, err)
	}
	return nil
}

// Schedule returns a schedule; an unknown one is errs.NotFound.
func (c *Catalogue) Schedule(ctx context.Context, name string) (model.Schedule, error) {
	return single(ctx, c.read, scanSchedule, func() error { return noSchedule(name) }, `SELECT `+scheduleColumns+` FROM schedules WHERE name = ?`, name)
}

// Schedules returns all schedules by name.
func (c *Catalogue) Schedules(ctx context.Context) ([]model.Schedule, error) {
	return collect(ctx, c.read, scanSchedule, `SELECT `+scheduleColumns+` FROM schedules ORDER BY name`)
}

// DeleteSchedule forgets a schedule; what it has begun goes on.
func (c *Catalogue) DeleteSchedule(ctx context.Context, name string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.DeleteSchedule(ctx, name) })
}

// DeleteSchedule is Catalogue.DeleteSchedule within a transaction.
func (tx *Tx) DeleteSchedule(ctx context.Context, name string) error {
	n, err := tx.exec(ctx, `DELETE FROM schedules WHERE name = ?`, name)
	if err == nil && n == 0 {
		return noSchedule(name)
	}
	return err
}

const stateColumns = `schedule, site, handled, pending, task_id, run_at, missed, missed_at, why`

func scanState(row scanner) (s model.ScheduleState, err error) {
	err = row.Scan(&s.Schedule, &s.Site, timeInto{&s.Handled}, timeInto{&s.Pending}, &s.TaskID, timeInto{&s.RunAt},
		&s.Missed, timeInto{&s.MissedAt}, &s.Why)
	return s, err
}

// ScheduleStates returns how far a schedule has come for each site that it has met.
func (c *Catalogue) ScheduleStates(ctx context.Context, schedule string) ([]model.ScheduleState, error) {
	return collect(ctx, c.read, scanState, `SELECT `+stateColumns+` FROM schedule_states WHERE schedule = ? ORDER BY site`, schedule)
}

// PutScheduleStates records how far schedules have come, all or nothing. States
// of a schedule that was deleted meanwhile are left out.
func (c *Catalogue) PutScheduleStates(ctx context.Context, states []model.ScheduleState) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		for _, s := range states {
			_, err := tx.exec(ctx, `INSERT OR REPLACE INTO schedule_states (`+stateColumns+`)
				SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM schedules WHERE name = ?)`,
				s.Schedule, s.Site, nanos(s.Handled), nanos(s.Pending), s.TaskID, nanos(s.RunAt), s.Missed, nanos(s.MissedAt), s.Why, s.Schedule)
			if err != nil {
				return fmt.Errorf("record schedule %s of %s: %w", s.Schedule, s.Site, err)
			}
		}
		return nil
	})
}

// DropScheduleStates forgets how far a schedule has come for sites that it is not for any more.
func (c *Catalogue) DropScheduleStates(ctx context.Context, schedule string, sites []string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM schedule_states WHERE schedule = ? AND site IN (SELECT value FROM json_each(?))`, schedule, jsonOf(sites))
		return err
	})
}

// Mark remembers a moment under a name.
func (c *Catalogue) Mark(ctx context.Context, name string, at time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT OR REPLACE INTO marks (name, at) VALUES (?, ?)`, name, nanos(at))
		return err
	})
}

// Marked returns the moment that is remembered under a name; zero if there is none.
func (c *Catalogue) Marked(ctx context.Context, name string) (time.Time, error) {
	list, err := collect(ctx, c.read, func(row scanner) (at time.Time, err error) {
		err = row.Scan(timeInto{&at})
		return at, err
	}, `SELECT at FROM marks WHERE name = ?`, name)
	if err != nil || len(list) == 0 {
		return time.Time{}, err
	}
	return list[0], nil
}

// ScopeSites names the sites of a scope that are not disabled, in order. Names
// that no site has are left out.
func (c *Catalogue) ScopeSites(ctx context.Context, s model.Scope) ([]string, error) {
	return collect(ctx, c.read, scanString, `SELECT name FROM sites WHERE disabled = 0
		AND (?1 OR client = ?2 AND ?2 <> '' OR name IN (SELECT value FROM json_each(?3))) ORDER BY name`,
		s.All, s.Client, jsonOf(s.Sites))
}
