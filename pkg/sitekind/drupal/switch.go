package drupal

import (
	"context"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// MaintenanceSwitch implements sitekind.Switcher. Drupal 7 keeps its variable
// maintenance_mode in the database, later ones the state system.maintenance_mode,
// which settings.php cannot override; and what could be overridden in 7's
// settings.php would stand in every backup that is made meanwhile.
func (Kind) MaintenanceSwitch(ctx context.Context, _ sitekind.Place, _ sitekind.Pass) (sitekind.Switch, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Switch{}, err
	}
	return sitekind.Switch{}, &sitekind.NoSwitchError{Why: "Drupal keeps its maintenance mode in the database, which is left as it is"}
}
