package dotenv

import (
	"cmp"
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// The variables of Bedrock that are called otherwise than Laravel's, and the
// file that reads them (roots/bedrock, config/application.php).
const (
	bedrockName, bedrockUser = "DB_NAME", "DB_USER"
	bedrockConfig            = "config/application.php"
)

// Bedrock is WordPress in the layout of roots/bedrock: the docroot is web/, and
// the .env file above it says the database. It is no kind by itself; package
// wordpress is.
type Bedrock struct{ project project }

// FindBedrock looks above the docroot; nil if it is not laid out so.
func FindBedrock(p sitekind.Place) (*Bedrock, error) {
	docroot := p.InDocroot(".")
	if docroot == "." {
		return nil, nil
	}
	b := &Bedrock{project{place: p, dir: path.Dir(docroot), program: bedrock}}
	found, err := p.Exists(b.project.in(bedrockConfig))
	if err != nil || !found {
		return nil, err
	}
	return b, nil
}

// Root is the directory that holds all of the site, relative to the place's.
func (b *Bedrock) Root() string { return b.project.dir }

// SettingsFile is the file that says the database, relative to the place's Root.
func (b *Bedrock) SettingsFile() string {
	l, err := b.open()
	if err != nil {
		return b.project.in(envFile)
	}
	return l.where()
}

// Files are those of its files that hold settings.
func (b *Bedrock) Files() (list []string, err error) {
	for _, name := range []string{envFile, envFile + ".local"} {
		found, err := b.project.place.Exists(b.project.in(name))
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, b.project.in(name))
		}
	}
	return list, nil
}

// ReadSettings is that of sitekind.Kind.
func (b *Bedrock) ReadSettings(ctx context.Context) (sitekind.Settings, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Settings{}, err
	}
	l, err := b.open()
	if err != nil {
		return sitekind.Settings{}, err
	}
	s, err := read(l)
	s.Charset, s.Prefix = "utf8mb4", cmp.Or(s.Prefix, "wp_") // both as its configuration says
	return s, err
}

// WriteSettings is that of sitekind.Kind.
func (b *Bedrock) WriteSettings(ctx context.Context, s sitekind.Settings) error {
	now, err := b.ReadSettings(ctx)
	if err != nil {
		return err
	}
	if !s.HasAddress() {
		s.Host, s.Port, s.Socket = now.Host, now.Port, now.Socket
	}
	l, err := b.open()
	if err != nil {
		return err
	}
	changes, err := values(l, s)
	if err != nil {
		return err
	}
	return l.set(changes)
}

// RewriteSettings is that of sitekind.Renamer.
func (b *Bedrock) RewriteSettings(ctx context.Context, rewrite sitekind.Rewrite) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files, err := b.project.openFiles()
	if err != nil {
		return nil, err
	}
	return rewriteLayer(files, rewrite)
}

func (b *Bedrock) open() (layer, error) {
	files, err := b.project.openFiles()
	if err != nil {
		return nil, err
	}
	return bedrockLayer{files}, nil
}

// bedrockLayer has Bedrock's variables by Laravel's names. Its DB_HOST is
// WordPress's: host, port and socket in one.
type bedrockLayer struct{ *files }

func (l bedrockLayer) get(name string) (text string, ok bool, err error) {
	switch name {
	case varDriver, varCharset:
		return "", false, nil
	case varName:
		return l.files.get(bedrockName)
	case varUser:
		return l.files.get(bedrockUser)
	case varHost, varPort, varSocket:
		return l.address(name)
	}
	text, ok, err = l.files.get(name)
	if name == "DATABASE_URL" && err == nil && strings.Contains(text, "%") {
		err = l.problem(sitekind.NotLiteral, "DATABASE_URL has percent signs, which Bedrock does not decode; use DB_NAME, DB_USER, DB_PASSWORD and DB_HOST")
	}
	return text, ok, err
}

func (l bedrockLayer) problem(p sitekind.Problem, what string) error {
	return &sitekind.SettingsError{Problem: p, File: l.where(), What: what}
}

// address returns one part of DB_HOST.
func (l bedrockLayer) address(name string) (string, bool, error) {
	text, ok, err := l.files.get(varHost)
	if err != nil {
		return "", ok, err
	}
	host, port, socket, err := sitekind.ParseAddress(cmp.Or(text, "localhost"))
	if err != nil {
		return "", ok, &sitekind.SettingsError{Problem: sitekind.Broken, File: l.where(), What: varHost, Err: err}
	}
	return map[string]string{varHost: host, varPort: portText(port), varSocket: socket}[name], ok, nil
}

func (l bedrockLayer) check(values map[string]string) error {
	own, err := l.own(values)
	if err != nil {
		return err
	}
	return l.files.check(own)
}

func (l bedrockLayer) set(values map[string]string) error {
	own, err := l.own(values)
	if err != nil {
		return err
	}
	return l.files.set(own)
}

// own gives values Bedrock's names.
func (l bedrockLayer) own(values map[string]string) (map[string]string, error) {
	out, address := map[string]string{}, map[string]string{}
	for name, text := range values {
		switch name {
		case varName:
			out[bedrockName] = text
		case varUser:
			out[bedrockUser] = text
		case varHost, varPort, varSocket:
			address[name] = text
		default:
			out[name] = text
		}
	}
	if strings.Contains(out["DATABASE_URL"], "%") {
		return nil, l.problem(sitekind.Unwritable, "DATABASE_URL would need percent signs, which Bedrock does not decode")
	}
	if len(address) == 0 {
		return out, nil
	}
	var err error
	out[varHost], err = l.joined(address)
	return out, err
}

// joined is DB_HOST with some of its parts changed.
func (l bedrockLayer) joined(changed map[string]string) (string, error) {
	parts := map[string]string{}
	for _, name := range []string{varHost, varPort, varSocket} {
		text, ok := changed[name]
		if !ok {
			var err error
			if text, _, err = l.address(name); err != nil {
				return "", err
			}
		}
		parts[name] = text
	}
	port, _ := strconv.Atoi(parts[varPort]) // Written by portText.
	text, err := sitekind.FormatAddress(parts[varHost], port, parts[varSocket])
	if err != nil {
		return "", &sitekind.SettingsError{Problem: sitekind.Unwritable, File: l.where(), What: varHost, Err: err}
	}
	return text, nil
}
