// Package wordpress is the kind of site that keeps its settings as constants
// in wp-config.php, in the docroot or one level above it, as WordPress itself
// looks for it (wp-load.php), or in Bedrock's .env file. It knows nothing of
// WordPress's database.
package wordpress

import (
	"context"
	"fmt"
	"path"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/dotenv"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
)

const (
	configFile  = "wp-config.php"
	loaderFile  = "wp-load.php"
	versionFile = "wp-includes/version.php"
)

// Kind is the kind of site. Its zero value is ready.
type Kind struct{}

// New returns the kind.
func New() Kind { return Kind{} }

// Name implements sitekind.Kind.
func (Kind) Name() string { return "wordpress" }

// Detect implements sitekind.Kind. A site is WordPress when its core or its
// wp-config.php is there; one of them is enough, since a broken site is found
// too.
func (Kind) Detect(ctx context.Context, p sitekind.Place) (sitekind.Detection, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Detection{}, err
	}
	core, hasCore, err := findCore(p)
	if err != nil {
		return sitekind.Detection{}, err
	}
	config, hasConfig, err := findConfig(p, core)
	if err != nil || !hasCore && !hasConfig {
		return sitekind.Detection{}, err
	}
	d := sitekind.Detection{Found: true, Version: version(p, core)}
	if hasConfig {
		d.SettingsFile = config
	}
	env, err := bedrock(p)
	if env != nil {
		d.SettingsFile = env.SettingsFile()
	}
	return d, err
}

// ReadSettings implements sitekind.Kind. Prefix and charset are empty when
// they are not written as plain values.
func (Kind) ReadSettings(ctx context.Context, p sitekind.Place) (sitekind.Settings, error) {
	if env, err := bedrock(p); err != nil || env != nil {
		return fromEnv(ctx, env, err)
	}
	f, err := open(ctx, p)
	if err != nil {
		return sitekind.Settings{}, err
	}
	values := map[string]string{}
	for _, key := range []string{"DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST"} {
		if values[key], err = f.Get(key); err != nil {
			return sitekind.Settings{}, err
		}
	}
	s := sitekind.Settings{
		Name:     values["DB_NAME"],
		User:     values["DB_USER"],
		Password: sitekind.NewSecret(values["DB_PASSWORD"]),
		Prefix:   f.Optional("$table_prefix"),
		Charset:  f.Optional("DB_CHARSET"),
	}
	s.Host, s.Port, s.Socket, err = sitekind.ParseAddress(values["DB_HOST"])
	if err != nil {
		return sitekind.Settings{}, &sitekind.SettingsError{Problem: sitekind.Broken, File: configOf(p), What: "DB_HOST", Err: err}
	}
	return s, nil
}

func fromEnv(ctx context.Context, env *dotenv.Bedrock, err error) (sitekind.Settings, error) {
	if err != nil {
		return sitekind.Settings{}, err
	}
	return env.ReadSettings(ctx)
}

// WriteSettings implements sitekind.Kind.
func (Kind) WriteSettings(ctx context.Context, p sitekind.Place, s sitekind.Settings) error {
	env, err := bedrock(p)
	if err != nil {
		return err
	}
	if env != nil {
		return env.WriteSettings(ctx, s)
	}
	f, err := open(ctx, p)
	if err != nil {
		return err
	}
	values := map[string]string{
		"DB_NAME":     s.Name,
		"DB_USER":     s.User,
		"DB_PASSWORD": s.Password.Reveal(),
	}
	if s.HasAddress() {
		if values["DB_HOST"], err = address(f, s); err != nil {
			return &sitekind.SettingsError{Problem: sitekind.Unwritable, File: configOf(p), What: "DB_HOST", Err: err}
		}
	}
	return f.Set(values)
}

// address writes DB_HOST, or keeps it when it says the same in another form.
func address(f *phpfile.File, s sitekind.Settings) (string, error) {
	if now, err := f.Get("DB_HOST"); err == nil {
		host, port, socket, err := sitekind.ParseAddress(now)
		if err == nil && host == s.Host && port == s.Port && socket == s.Socket {
			return now, nil
		}
	}
	return sitekind.FormatAddress(s.Host, s.Port, s.Socket)
}

// Rules implements sitekind.Kind.
func (Kind) Rules(ctx context.Context, p sitekind.Place) (sitekind.Rules, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Rules{}, err
	}
	core, _, err := findCore(p)
	if err != nil {
		return sitekind.Rules{}, err
	}
	config, found, err := findConfig(p, core)
	if err != nil || !found {
		return sitekind.Rules{}, err
	}
	env, err := bedrock(p)
	if err != nil || env == nil {
		return sitekind.Rules{Settings: []string{config}}, err
	}
	files, err := env.Files()
	return sitekind.Rules{Settings: files}, err
}

func open(ctx context.Context, p sitekind.Place) (*phpfile.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	core, _, err := findCore(p)
	if err != nil {
		return nil, err
	}
	config, found, err := findConfig(p, core)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &sitekind.SettingsError{Problem: sitekind.Missing, File: config,
			What: "there is no such file; if it lies above the docroot, the site's root must be the directory that holds both"}
	}
	f, err := phpfile.Open(p, config)
	if err != nil {
		return nil, err
	}
	if _, err := f.Get("DB_NAME"); sitekind.Unsaid(err) {
		if err := outOfReach(p, config); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func configOf(p sitekind.Place) string {
	core, _, _ := findCore(p)
	config, _, _ := findConfig(p, core)
	return config
}

// findCore returns the directory of WordPress itself relative to Root: the
// docroot, or a usual directory in it.
func findCore(p sitekind.Place) (directory string, found bool, err error) {
	for _, sub := range []string{".", "wp", "wordpress"} {
		directory := p.InDocroot(sub)
		for _, file := range []string{loaderFile, versionFile} {
			found, err := p.Exists(path.Join(directory, file))
			if err != nil {
				return directory, false, fmt.Errorf("look for WordPress: %w", err)
			}
			if found {
				return directory, true, nil
			}
		}
	}
	return p.InDocroot("."), false, nil
}

// findConfig returns wp-config.php relative to Root: beside WordPress, or one
// level above, unless that level is another WordPress (wp-load.php).
func findConfig(p sitekind.Place, core string) (file string, found bool, err error) {
	file = path.Join(core, configFile)
	if found, err := p.Exists(file); err != nil || found || core == "." {
		return file, found, err
	}
	above := path.Dir(core)
	other, err := p.Exists(path.Join(above, "wp-settings.php"))
	if err != nil || other {
		return file, false, err
	}
	found, err = p.Exists(path.Join(above, configFile))
	if found {
		file = path.Join(above, configFile)
	}
	return file, found, err
}

// version returns WordPress's version, empty if it cannot be read.
func version(p sitekind.Place, core string) string {
	f, err := phpfile.Open(p, path.Join(core, versionFile))
	if err != nil {
		return ""
	}
	return f.Optional("$wp_version")
}
