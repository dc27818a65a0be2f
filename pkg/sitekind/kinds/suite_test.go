package kinds

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/generic"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
	"github.com/sitekeep/sitekeep/pkg/sitekind/wordpress"
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
}

func bare(s string) string { return s }

const wpConfig = "<?php\r\n" +
	"/** define( 'DB_NAME', 'wrong' ); */\n" +
	"// define( 'DB_NAME', 'wrong' );\n" +
	"# define( 'DB_NAME', 'wrong' );\n" +
	"define( 'DB_NAME', @NAME@ ); // the name\n" +
	"if ( ! defined( 'DB_USER' ) ) { define(\"DB_USER\",@USER@); }\n" +
	"const DB_PASSWORD = @PASSWORD@;\r\n" +
	"defined('DB_HOST') || define( 'DB_HOST' , @HOST@ );\n" +
	"define( 'DB_CHARSET', \"utf8\" . 'mb4' );\n" +
	"define( 'DB_COLLATE', '' );\n" +
	"$table_prefix = <<<'P'\nwp7_\nP;\n" +
	"define( 'AUTH_KEY', 'define(\\'DB_NAME\\', \\'x\\');' );\n" +
	"if ( ! defined( 'ABSPATH' ) ) { define( 'ABSPATH', __DIR__ . '/' ); }\n" +
	"require_once ABSPATH . 'wp-settings.php';\n?>\n\xff\n"

const wpVersion = "<?php\n/** @global string $wp_version */\n$wp_version = '6.1.9';\n"

func rows() []row {
	return []row{
		{
			name: "wordpress", kind: wordpress.New(), settings: "wp-config.php", text: wpConfig,
			files: map[string]string{"wp-includes/version.php": wpVersion, "wp-load.php": "<?php"},
			quote: phplit.Quote, broken: "<?php define('DB_NAME', 'a", anything: true,
		},
		{
			name: "wordpress above the docroot", kind: wordpress.New(), docroot: "web", settings: "wp-config.php", text: wpConfig,
			files: map[string]string{"web/wp-includes/version.php": wpVersion, "web/wp-load.php": "<?php"},
			quote: phplit.Quote, broken: "<?php define('DB_NAME' 'a');", anything: true,
		},
		{
			name: "wordpress in a directory of its own", kind: wordpress.New(), settings: "wp-config.php", text: wpConfig,
			files: map[string]string{"wp/wp-includes/version.php": wpVersion, "index.php": "<?php"},
			quote: phplit.Quote, broken: "<?php /*", anything: true,
		},
		{
			name: "generic with PHP", kind: generic.New(), settings: "conf/db.php",
			files: map[string]string{".sitekeep.yaml": "settings: {file: conf/db.php, format: php, name: $name, user: $user, " +
				"password: PASSWORD, host: HOST, prefix: $prefix, charset: $charset}\n"},
			text:  "<?php $name = @NAME@; $user=@USER@;\nconst HOST = @HOST@, PASSWORD = @PASSWORD@;\n$prefix = 'wp7_'; $charset = 'utf8mb4'; return;",
			quote: phplit.Quote, broken: "<?php $name = 'a' }", anything: true,
		},
		{
			name: "generic with bare lines, in a docroot", kind: generic.New(), site: "sites/a", docroot: ".", settings: "sites/a/.env",
			files: map[string]string{"sites/a/.sitekeep.yaml": "settings:\n  file: .env\n  format: lines\n  name: DB_NAME\n  user: DB_USER\n" +
				"  password: DB_PASS\n  host: DB_HOST\n  prefix: PFX\n  charset: CHARSET\n"},
			text: "# DB_NAME=wrong\nXDB_NAME=wrong\nDB_NAME=@NAME@\nexport DB_USER=@USER@ # who\r\nDB_PASS = @PASSWORD@\n" +
				"  DB_HOST: @HOST@\nPFX=wp7_\nCHARSET=utf8mb4\n\xff",
			quote: bare, broken: "DB_NAME=a\nDB_NAME=b\n",
		},
		{
			name: "generic with quoted lines", kind: generic.New(), settings: "conf.ini",
			files: map[string]string{".sitekeep.yaml": "settings: {file: conf.ini, format: lines, name: name, user: user, " +
				"password: password, host: host, prefix: prefix, charset: charset}\n"},
			text:  "[db]\nname = @NAME@ ; x\nuser = @USER@\npassword = @PASSWORD@\nhost=@HOST@,\nprefix=\"wp7_\"\ncharset='utf8mb4'\n",
			quote: func(s string) string { return `"` + s + `"` }, broken: "name = \"a\nuser=\"b\"\npassword=c\nhost=d\n",
		},
	}
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
	address, _ := sitekind.FormatAddress(s.Host, s.Port, s.Socket)
	return strings.NewReplacer("@NAME@", r.quote(s.Name), "@USER@", r.quote(s.User),
		"@PASSWORD@", r.quote(s.Password.Reveal()), "@HOST@", r.quote(address)).Replace(r.text)
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
