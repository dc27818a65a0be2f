// Package drupal is the kind of site that keeps its settings in Drupal's
// settings.php, of version 7 and later: one site sites/NAME of a code base, or
// a whole code base with one site in it, with or without a docroot web/ as
// Composer lays it. Settings that are split over included files are followed,
// and those of Aegir that stand in the web server's environment are
// recognised. It knows nothing of Drupal's database.
package drupal

import (
	"context"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// Kind is the kind of site. Its zero value is ready.
type Kind struct{}

// New returns the kind.
func New() Kind { return Kind{} }

// Name implements sitekind.Kind.
func (Kind) Name() string { return "drupal" }

// Detect implements sitekind.Kind. A site is Drupal's when Drupal's core or
// its settings are there; one of them is enough.
func (Kind) Detect(ctx context.Context, p sitekind.Place) (sitekind.Detection, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Detection{}, err
	}
	l, err := look(p)
	if err != nil || !l.found() {
		return sitekind.Detection{}, err
	}
	d := sitekind.Detection{Found: true, Version: l.version(p)}
	if l.exists {
		d.SettingsFile = l.settings()
	}
	return d, nil
}

// ReadSettings implements sitekind.Kind. Of settings in the environment it
// reads the values that Aegir has written to drushrc.php, if that is there.
func (Kind) ReadSettings(ctx context.Context, p sitekind.Place) (sitekind.Settings, error) {
	d, err := open(ctx, p)
	if err != nil {
		return sitekind.Settings{}, err
	}
	s, err := d.read()
	if err != nil || !s.Cloaked() {
		return s, err
	}
	return d.uncloak(s)
}

// WriteSettings implements sitekind.Kind. What the settings read from the
// environment stays so; drushrc.php is told.
func (Kind) WriteSettings(ctx context.Context, p sitekind.Place, s sitekind.Settings) error {
	d, err := open(ctx, p)
	if err != nil {
		return err
	}
	return d.write(s)
}

// Rules implements sitekind.Kind. The modes are those of Aegir.
func (Kind) Rules(ctx context.Context, p sitekind.Place) (sitekind.Rules, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Rules{}, err
	}
	l, err := look(p)
	if err != nil || !l.exists {
		return sitekind.Rules{}, err
	}
	return l.rules(p)
}

// StructureOnly implements sitekind.StructureOnly with the bins of Drupal's
// cache. The counters in cachetags stay: bins may be kept elsewhere.
func (Kind) StructureOnly() []string {
	return []string{"cache", "cache_*"}
}

// CacheHint implements sitekind.CacheHinter.
func (Kind) CacheHint(version string) string {
	if len(version) > 1 && version[1] == '.' && version[0] < '8' {
		return "drush cache-clear all"
	}
	return "drush cache:rebuild"
}

func open(ctx context.Context, p sitekind.Place) (*database, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := look(p)
	if err != nil {
		return nil, err
	}
	if err := l.usable(); err != nil {
		return nil, err
	}
	return openDatabase(p, l)
}
