// Package dotenv is the kind of site that keeps its settings in .env files:
// Laravel (DB_DATABASE and the like, DB_URL), Symfony (DATABASE_URL, .env.local
// over .env), and other PHP programs with the same names of variables. What is
// made of those files, Laravel's cached configuration and Symfony's
// .env.local.php, is read and written with them, since it overrides them. It
// knows nothing of databases.
//
// Values are read by the rules of vlucas/phpdotenv 5 and symfony/dotenv; where
// it cannot be told what the program makes of one, it is refused. A database
// file of SQLite is part of the site's files: such a site has no settings.
package dotenv

import (
	"context"
	"path"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
)

// Kind is the kind of site. Its zero value is ready.
type Kind struct{}

// New returns the kind.
func New() Kind { return Kind{} }

// Name implements sitekind.Kind.
func (Kind) Name() string { return "dotenv" }

// project is where a program lies and what it is.
type project struct {
	place sitekind.Place
	// dir is its directory relative to Root; the docroot is public/ in it.
	dir     string
	program program
}

// program is who reads the .env file.
type program int

const (
	none program = iota
	laravel
	symfonyApp
	other
	bedrock
)

func (p project) dialect() dialect {
	if p.program == symfonyApp {
		return symfony
	}
	return vlucas
}

func (p project) in(name string) string { return path.Join(p.dir, name) }

// look finds the program in the site's directory, or above the docroot.
func look(p sitekind.Place) (project, error) {
	dirs := []string{p.InSite(".")}
	if above := path.Dir(p.InDocroot(".")); p.InDocroot(".") != "." && above != dirs[0] {
		dirs = append(dirs, above)
	}
	for _, dir := range dirs {
		found := project{place: p, dir: dir}
		var err error
		if found.program, err = found.identify(); err != nil || found.program != none {
			return found, err
		}
	}
	return project{place: p, dir: dirs[0]}, nil
}

func (p project) identify() (program, error) {
	marks := []struct {
		file string
		program
	}{{"artisan", laravel}, {"bin/console", symfonyApp}, {"symfony.lock", symfonyApp}}
	for _, m := range marks {
		if found, err := p.place.Exists(p.in(m.file)); err != nil || found {
			return m.program, err
		}
	}
	if found, err := p.place.Exists(p.in(envFile)); err != nil || !found {
		return none, err
	}
	files, err := p.openFiles()
	if err != nil {
		return none, nil //nolint:nilerr // Another program's file.
	}
	for _, name := range []string{"DB_DATABASE", "DATABASE_URL", "DB_URL"} {
		if _, ok := files.find(name); ok {
			return other, nil
		}
	}
	return none, nil
}

// Detect implements sitekind.Kind.
func (Kind) Detect(ctx context.Context, p sitekind.Place) (sitekind.Detection, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Detection{}, err
	}
	project, err := look(p)
	if err != nil || project.program == none {
		return sitekind.Detection{}, err
	}
	d := sitekind.Detection{Found: true, Version: project.version()}
	if layers, err := project.layers(); err == nil {
		d.SettingsFile = layers[0].where()
	}
	return d, nil
}

// version returns the framework's version, empty if it cannot be read.
func (p project) version() string {
	files := map[program]string{
		laravel:    "vendor/laravel/framework/src/Illuminate/Foundation/Application.php",
		symfonyApp: "vendor/symfony/http-kernel/Kernel.php",
	}
	if files[p.program] == "" {
		return ""
	}
	f, err := phpfile.Open(p.place, p.in(files[p.program]))
	if err != nil {
		return ""
	}
	version, _ := f.ClassConstant("VERSION")
	return version
}

// ReadSettings implements sitekind.Kind.
func (Kind) ReadSettings(ctx context.Context, p sitekind.Place) (sitekind.Settings, error) {
	layers, err := open(ctx, p)
	if err != nil {
		return sitekind.Settings{}, err
	}
	return read(layers[0])
}

// WriteSettings implements sitekind.Kind. It writes to what overrides the
// .env file, and to that file.
func (Kind) WriteSettings(ctx context.Context, p sitekind.Place, s sitekind.Settings) error {
	layers, err := open(ctx, p)
	if err != nil {
		return err
	}
	now, err := read(layers[0])
	if err != nil {
		return err
	}
	if !s.HasAddress() {
		s.Host, s.Port, s.Socket = now.Host, now.Port, now.Socket
	}
	changes := make([]map[string]string, len(layers))
	for i, l := range layers { // Nothing is written before all of it can be.
		if changes[i], err = values(l, s); err == nil {
			err = l.check(changes[i])
		}
		if err != nil {
			return err
		}
	}
	for i, l := range layers {
		if err := l.set(changes[i]); err != nil {
			return err
		}
	}
	return nil
}

func open(ctx context.Context, p sitekind.Place) ([]layer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	project, err := look(p)
	if err != nil {
		return nil, err
	}
	return project.layers()
}

// Rules implements sitekind.Kind.
func (Kind) Rules(ctx context.Context, p sitekind.Place) (sitekind.Rules, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Rules{}, err
	}
	project, err := look(p)
	if err != nil || project.program == none {
		return sitekind.Rules{}, err
	}
	var r sitekind.Rules
	for _, name := range []string{envFile, envFile + ".local", envFile + ".prod", envFile + ".prod.local", compiledFile, cachedFile} {
		found, err := p.Exists(project.in(name))
		if err != nil {
			return sitekind.Rules{}, err
		}
		if found {
			r.Settings = append(r.Settings, project.in(name))
		}
	}
	return r, nil
}

// CacheHint implements sitekind.CacheHinter.
func (Kind) CacheHint(string) string {
	return strings.Join([]string{"php artisan optimize:clear (Laravel)", "php bin/console cache:clear (Symfony)"}, ", ")
}
