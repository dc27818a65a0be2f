package kinds

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// row is one kind, or one way in which a kind's settings lie.
type row struct {
	name string
	kind sitekind.Kind
	// site and docroot are as in sitekind.Place.
	site, docroot string
	// files are all files of the fixture; the settings file is not among them.
	files map[string]string
	// settings is the settings file's name.
	settings string
	// text is its text, with @NAME@, @USER@, @PASSWORD@, @HOST@ for the values
	// as they are written there.
	text string
	// quote writes a value as the kind is expected to write it.
	quote func(string) string
	// broken is a text that cannot be parsed.
	broken string
	// anything says that any bytes can be written.
	anything bool
	// version is what is detected.
	version string
}

func TestEveryKindHasARow(t *testing.T) {
	covered := map[string]bool{}
	for _, r := range rows() {
		covered[r.kind.Name()] = true
	}
	for _, name := range Names() {
		if !covered[name] {
			t.Errorf("kind %s is in no row of the suite", name)
		}
		if k, err := ByName(name); err != nil || k.Name() != name {
			t.Errorf("ByName(%q) = %v, %v", name, k, err)
		}
	}
	if _, err := ByName("cobol"); err == nil || !strings.Contains(err.Error(), "wordpress") {
		t.Errorf("an unknown kind gives %v", err)
	}
}

func original() sitekind.Settings {
	return sitekind.Settings{Host: "localhost", Name: "olddb", User: "olduser", Password: sitekind.NewSecret("OldSecret1"),
		Prefix: "wp7_", Charset: "utf8mb4"}
}

// fixture is a row laid out on disk.
type fixture struct {
	row
	dir   string
	place sitekind.Place
}

func (r row) lay(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{row: r, dir: t.TempDir()}
	for name, text := range r.files {
		f.write(t, name, text)
	}
	f.write(t, r.settings, r.with(original()))
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	f.place = sitekind.Place{Root: root, Site: r.site, Docroot: r.docroot}
	return f
}

// with is the settings file's text with these values.
func (r row) with(s sitekind.Settings) string {
	host, port := s.Host, ""
	if s.Port != 0 {
		port = strconv.Itoa(s.Port)
	}
	if !strings.Contains(r.text, "@PORT@") {
		host, _ = sitekind.FormatAddress(s.Host, s.Port, s.Socket)
	}
	socket, query := r.quote(s.Socket), ""
	if s.Socket == "" && r.quote("") != "" {
		socket = "NULL"
	}
	if s.Socket != "" {
		query = "&unix_socket=" + s.Socket
	}
	server := s.Host
	if s.Port != 0 {
		server += ":" + port
	}
	return strings.NewReplacer("@NAME@", r.quote(s.Name), "@USER@", r.quote(s.User),
		"@PASSWORD@", r.quote(s.Password.Reveal()), "@HOST@", r.quote(host), "@PORT@", r.quote(port), "@SOCKET@", socket,
		"@URL@", s.User+":"+s.Password.Reveal()+"@"+server+"/"+s.Name+"?serverVersion=mariadb-10.11.2&charset=utf8mb4"+query).Replace(r.text)
}

func (f *fixture) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) path() string { return filepath.Join(f.dir, f.settings) }

func (f *fixture) read(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(f.path())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tree lists every file but the settings file, with its contents.
func (f *fixture) tree(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == f.path() {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// each runs a test over all rows.
func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) { test(t, r.lay(t)) })
	}
}

func problemOf(err error) sitekind.Problem {
	if e, ok := errors.AsType[*sitekind.SettingsError](err); ok {
		return e.Problem
	}
	return 0
}

func ctx(t *testing.T) context.Context { return t.Context() }
