package catalogue

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const drillColumns = `site, backup, at, task_id, problem`

func scanDrill(row scanner) (d model.Drill, err error) {
	err = row.Scan(&d.Site, &d.Backup, timeInto{&d.At}, &d.TaskID, &d.Problem)
	return d, err
}

// RecordDrill remembers what a drill has shown, in place of the site's one before.
func (c *Catalogue) RecordDrill(ctx context.Context, d model.Drill) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT OR REPLACE INTO drills (`+drillColumns+`) VALUES (?, ?, ?, ?, ?)`,
			d.Site, d.Backup, nanos(d.At), d.TaskID, d.Problem)
		if err != nil {
			return fmt.Errorf("record the drill of %s: %w", d.Site, err)
		}
		return nil
	})
}

// LastDrill returns a site's last drill; errs.NotFound if there was none.
func (c *Catalogue) LastDrill(ctx context.Context, site string) (model.Drill, error) {
	none := func() error {
		return errs.New(errs.NotFound, "run one with: sitekeep drill "+site, "site %s had no drill", site)
	}
	return single(ctx, c.read, scanDrill, none, `SELECT `+drillColumns+` FROM drills WHERE site = ?`, site)
}

// LastDrills returns the last drill of each site that had one.
func (c *Catalogue) LastDrills(ctx context.Context) ([]model.Drill, error) {
	return collect(ctx, c.read, scanDrill, `SELECT `+drillColumns+` FROM drills ORDER BY site`)
}
