package drupal

import (
	"io/fs"
	"path"
	"path/filepath"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
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
	for _, name := range append(l.fileDirectories(p), in("files"), in("private")) {
		r.Modes = append(r.Modes, sitekind.ModeRule{Path: name, Mode: fs.ModeSetgid | 0o770, Below: true, Group: true})
	}
	return r, nil
}

// fileDirectories are those that the settings name for public and private
// files. What cannot be told, or lies outside of Root or beside the site's
// code, has no rule: the settings may be what is broken.
func (l layout) fileDirectories(p sitekind.Place) []string {
	d, err := openDatabase(p, l)
	if err != nil {
		return nil
	}
	var out []string
	for _, variable := range []string{"$settings", "$conf"} {
		for _, key := range []string{"file_public_path", "file_private_path"} {
			found, err := d.chain.Find(variable, key)
			if err != nil || found.Value.Type != phplit.String || path.IsAbs(found.Value.Text) || l.core == "" {
				continue
			}
			name := path.Join(l.core, found.Value.Text)
			if filepath.IsLocal(name) && name != l.core && name != l.dir && !below(l.dir, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
