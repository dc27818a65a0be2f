package drupal

import (
	"io/fs"
	"path"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// rules are the modes that Aegir's verify gives a site: provision's
// Provision_Config_Drupal_Settings and verify.provision.inc.
func (l layout) rules(p sitekind.Place) (sitekind.Rules, error) {
	in := func(name string) string { return path.Join(l.dir, name) }
	r := sitekind.Rules{Settings: []string{l.settings()}}
	r.Modes = []sitekind.ModeRule{
		{Path: l.settings(), Mode: 0o440, Group: true},
		{Path: l.dir, Mode: 0o755},
	}
	local, err := p.Exists(in(localFile))
	if err != nil {
		return sitekind.Rules{}, err
	}
	if local {
		r.Settings = append(r.Settings, in(localFile))
		r.Modes = append(r.Modes, sitekind.ModeRule{Path: in(localFile), Mode: 0o440, Group: true})
	}
	for _, name := range []string{"themes", "modules", "libraries"} {
		r.Modes = append(r.Modes, sitekind.ModeRule{Path: in(name), Mode: fs.ModeSetgid | 0o775, Group: true})
	}
	for _, name := range []string{"files", "private"} {
		r.Modes = append(r.Modes, sitekind.ModeRule{Path: in(name), Mode: fs.ModeSetgid | 0o770, Below: true, Group: true})
	}
	return r, nil
}
