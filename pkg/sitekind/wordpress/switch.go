package wordpress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// maintenanceFile is what wp_is_maintenance_mode (wp-includes/load.php), and
// wp_maintenance before WordPress 5.5, run beside wp-load.php: $upgrading says
// when the maintenance began, and counts for ten minutes.
const maintenanceFile = ".maintenance"

// maintenanceCode begins the maintenance anew for every visitor, so that it
// lasts as long as the file does, and never for a request with the pass. The
// pass's hash is read out of the file, not compiled: a cache of compiled code
// that never looks at files again knows that of an earlier maintenance.
const maintenanceCode = `<?php // %s
$upgrading = strpos((string) file_get_contents(__FILE__), hash('sha256', isset($_SERVER['%s']) ? (string) $_SERVER['%[2]s'] : '')) === false ? time() : 0;
// %s
`

// MaintenanceSwitch implements sitekind.Switcher.
func (Kind) MaintenanceSwitch(ctx context.Context, p sitekind.Place, pass sitekind.Pass) (sitekind.Switch, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Switch{}, err
	}
	core, found, err := findCore(p)
	if err != nil {
		return sitekind.Switch{}, err
	}
	if !found {
		return sitekind.Switch{}, &sitekind.NoSwitchError{Why: "there is no WordPress in its docroot that could look at one"}
	}
	hash := sha256.Sum256([]byte(pass.Value))
	variable := "HTTP_" + strings.ToUpper(strings.ReplaceAll(pass.Header, "-", "_")) // RFC 3875, section 4.1.18
	content := fmt.Sprintf(maintenanceCode, sitekind.SwitchMark, variable, hex.EncodeToString(hash[:]))
	return sitekind.Switch{Name: path.Join(core, maintenanceFile), Content: []byte(content)}, nil
}
