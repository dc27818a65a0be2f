package dotenv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

func lay(t *testing.T, files map[string]string) (string, sitekind.Place) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, sitekind.Place{Root: root, Docroot: "public"}
}

func text(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func problemOf(err error) sitekind.Problem {
	if e, ok := errors.AsType[*sitekind.SettingsError](err); ok {
		return e.Problem
	}
	return 0
}

// lines are files in which A has a value; want of "-" is a refusal.
var lines = []struct{ source, laravel, symfony string }{
	{"A=b", "b", "b"},
	{"A=", "", ""},
	{"A= # c", "", ""},
	{"  A = b  ", "b", "b"},
	{"export A=b", "b", "b"},
	{"\ufeffA=b", "b", "b"},
	{"A=b\r\nB=c\r\n", "b", "b"},
	{"A=b # c", "b", "b"},
	{"A='b # c' # d", "b # c", "b # c"},
	{"A=\"b\"#c", "-", "-"},
	{"A=b#c", "-", "-"},
	{"A=b c", "-", "-"},
	{"A=b\\c", "-", "-"},
	{"A='b'c", "-", "-"},
	{"A='b\\'", "b\\", "b\\"},
	{`A='$b ${c} \n'`, `$b ${c} \n`, `$b ${c} \n`},
	{`A="b\"c\$d\ne"`, "b\"c$d\ne", "b\"c$d\ne"},
	{`A="b\tc"`, "b\tc", "-"},
	{`A="b\\c"`, `b\c`, `b\c`},
	{`A="b\\n"`, `b\n`, "-"},
	{`A="b\q"`, "-", "-"},
	{"A=\"b\nc\"", "b\nc", "b\nc"},
	{"A='b\nc'", "-", "b\nc"},
	{"B=x\nA=${B}y", "xy", "xy"},
	{"B=x\nA=\"${B}y\\${B}\"", "xy${B}", "xy${B}"},
	{"B=x\nA=$B", "$B", "x"},
	{"A=${B}", "-", "-"},
	{"A=${B}\nB=x", "-", "-"},
	{"A=${B:-x}", "-", "-"},
	{"A=$(id)", "-", "-"},
	{"A=b\nA=c", "c", "c"},
	{"# A=b\nA=c\n#A=d", "c", "c"},
	{"B=\"\nA=b\n\"\nA=c", "c", "c"},
	{"AA=b\nA=c\nA_=d", "c", "c"},
}

func TestLines(t *testing.T) {
	for _, c := range lines {
		for d, want := range map[dialect]string{vlucas: c.laravel, symfony: c.symfony} {
			f, err := parse(".env", []byte(c.source), d)
			if err != nil {
				t.Errorf("%q: %v", c.source, err)
				continue
			}
			e, ok, err := f.get("A")
			if want == "-" {
				if problemOf(err) != sitekind.NotLiteral {
					t.Errorf("%q, dialect %d: got %q, %v; want a refusal", c.source, d, e.text, err)
				}
			} else if err != nil || !ok || e.text != want {
				t.Errorf("%q, dialect %d: got %q, %v, %v; want %q", c.source, d, e.text, ok, err, want)
			}
		}
	}
	for _, source := range []string{"A=\"b", "A='b", "no assignment", "1A=b", "A-B=c", "=b", "A=b\x00", "A=\xff"} {
		if _, err := parse(".env", []byte(source), vlucas); problemOf(err) != sitekind.Broken {
			t.Errorf("%q: got %v", source, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct{ text, old, want string }{
		{"plain-1", "x", "plain-1"}, {"plain", "", "plain"}, {"plain", `"`, `"plain"`}, {"plain", "'", "'plain'"},
		{"a b", "", "'a b'"}, {"a#b", `"`, `"a#b"`}, {"$a", `"`, "'$a'"}, {`a\n"`, "", `'a\n"'`},
		{"it's $x \"y\"\n", "", `"it's \$x \"y\"\n"`}, {"", "", ""},
		{`it's\n`, "", "-"}, {"it's\\", `"`, "-"}, {"\x00", "", "-"}, {"\xff", "", "-"},
	} {
		got, err := quote(c.text, c.old)
		if c.want == "-" && err == nil || c.want != "-" && (err != nil || got != c.want) {
			t.Errorf("%q after %q: got %s, %v; want %s", c.text, c.old, got, err, c.want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, c := range lines {
		f.Add(c.source, c.laravel, true)
	}
	f.Add("A=b", `it's \ "$x" ${y}`, false)
	f.Fuzz(func(t *testing.T, source, text string, forSymfony bool) {
		d := vlucas
		if forSymfony {
			d = symfony
		}
		old, err := parse(".env", []byte(source), d)
		if err != nil {
			return
		}
		fs := &files{project: project{dir: "."}, list: []*file{old}}
		e, ok, err := old.get("A")
		if !ok || err != nil || e.text == text {
			return
		}
		out, err := fs.edit(map[string]string{"A": text})
		if err != nil {
			return
		}
		again, err := parse(".env", out[".env"], d)
		if err != nil {
			t.Fatalf("%q became %q: %v", source, out[".env"], err)
		}
		got, _, err := again.get("A")
		if err != nil || got.text != text {
			t.Fatalf("%q became %q: read back %q, %v", source, out[".env"], got.text, err)
		}
		if string(out[".env"][:got.start]) != source[:e.start] {
			t.Fatalf("bytes before the value changed: %q, %q", source, out[".env"])
		}
	})
}

func TestURLs(t *testing.T) {
	for source, want := range map[string]sitekind.Settings{
		"mysql://u:p%40%2F%25%27@db1:3307/name?charset=utf8":     {User: "u", Password: sitekind.NewSecret("p@/%'"), Host: "db1", Port: 3307, Name: "name", Charset: "utf8"},
		"mariadb://u@[::1]:3306/n":                               {User: "u", Host: "::1", Port: 3306, Name: "n"},
		"mysql2://u:p+q@127.0.0.1/n%2Dx?unix_socket=/run/s.sock": {User: "u", Password: sitekind.NewSecret("p+q"), Host: "127.0.0.1", Name: "n-x", Socket: "/run/s.sock"},
	} {
		s, err := parseURL(source)
		if err != nil || s != want {
			t.Errorf("%s: got %+v, %v", source, s, err)
		}
		s.User, s.Password, s.Name, s.Host, s.Port = "ü ", sitekind.NewSecret(`#?&%:@/\'" $`), "a b", "2001:db8::1", 0
		out, err := formatURL(source, s)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseURL(out); err != nil || again != s {
			t.Errorf("%s: read back %+v, %v", out, again, err)
		}
	}
	for source, problem := range map[string]sitekind.Problem{
		"pgsql://u:hunter2@h/n": sitekind.Refused, "sqlite:///x": sitekind.Refused, "mysql://u:hunter2@h:99999/n": sitekind.Broken,
		"mysql://u:hunter2%zz@h/n": sitekind.Broken, "hunter2": sitekind.Broken, "mysql://u:hunter2@x@h/n": sitekind.Broken,
	} {
		_, p := lay(t, map[string]string{"bin/console": "", ".env": "DATABASE_URL='" + source + "'\n"})
		_, err := New().ReadSettings(t.Context(), p)
		if problemOf(err) != problem || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", source, err)
		}
	}
}

func TestLaterFilesOfSymfonyCount(t *testing.T) {
	files := map[string]string{"bin/console": "", ".env": "APP_ENV=dev\nDATABASE_URL=mysql://u:p@h/one\n",
		".env.local": "APP_ENV=prod # here\n", ".env.dev": "DATABASE_URL=mysql://u:p@h/no\n", ".env.prod": "DATABASE_URL=mysql://u:p@h/three\n"}
	dir, p := lay(t, files)
	s, err := New().ReadSettings(t.Context(), p)
	if err != nil || s.Name != "three" {
		t.Fatalf("got %+v, %v", s, err)
	}
	s.Name = "four"
	if err := New().WriteSettings(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	files[".env.prod"] = "DATABASE_URL=mysql://u:p@h/four\n"
	for name, want := range files {
		if got := text(t, dir, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	d, err := New().Detect(t.Context(), p)
	if err != nil || d.SettingsFile != ".env.prod" {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestCompiledFilesCount(t *testing.T) {
	tests := map[string]struct {
		files          map[string]string
		where, changed string
	}{
		"Laravel": {map[string]string{"artisan": "", ".env": "DB_DATABASE=stale\nDB_USERNAME=u\nDB_PASSWORD=p\n",
			cachedFile: "<?php return array (\n 'app' => array('key' => 'k'),\n 'database' => array('default' => 'mysql', 'connections' => array(\n" +
				"  'sqlite' => array('database' => 'no'),\n  'mysql' => array('driver' => 'mysql', 'url' => NULL, 'host' => 'h', 'port' => '3306',\n" +
				"   'database' => 'live', 'username' => 'u', 'password' => 'p', 'unix_socket' => '', 'prefix' => ''))),\n);\n"},
			cachedFile, ".env"},
		"Symfony": {map[string]string{"bin/console": "", ".env": "DATABASE_URL=mysql://u:p@h:3306/stale\n",
			compiledFile: "<?php\n\n// This file was generated by running \"composer dump-env prod\"\n\nreturn array (\n  'APP_ENV' => 'prod',\n" +
				"  'DATABASE_URL' => 'mysql://u:p@h:3306/live',\n);\n"},
			compiledFile, ".env"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			dir, p := lay(t, c.files)
			s, err := New().ReadSettings(t.Context(), p)
			if err != nil || s.Name != "live" || s.Host != "h" || s.Port != 3306 {
				t.Fatalf("got %+v, %v", s, err)
			}
			if d, err := New().Detect(t.Context(), p); err != nil || d.SettingsFile != c.where {
				t.Errorf("got %+v, %v", d, err)
			}
			s.Name = "other"
			if err := New().WriteSettings(t.Context(), p, s); err != nil {
				t.Fatal(err)
			}
			if got, want := text(t, dir, c.where), strings.Replace(c.files[c.where], "live", "other", 1); got != want {
				t.Errorf("%s is\n%s\nwant\n%s", c.where, got, want)
			}
			if got := text(t, dir, c.changed); !strings.Contains(got, "other") || strings.Contains(got, "stale") {
				t.Errorf("%s is %q", c.changed, got)
			}
			if err := os.WriteFile(filepath.Join(dir, c.where), []byte("<?php return config();"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := New().ReadSettings(t.Context(), p); problemOf(err) != sitekind.NotLiteral {
				t.Errorf("a computed one gives %v", err)
			}
		})
	}
}

func TestMissingAddressIsPutIn(t *testing.T) {
	dir, p := lay(t, map[string]string{"artisan": "", ".env": "DB_DATABASE=a\r\nDB_USERNAME=b\r\nDB_PASSWORD=\r\n"})
	s, err := New().ReadSettings(t.Context(), p)
	if err != nil || s.Host != "127.0.0.1" {
		t.Fatalf("got %+v, %v", s, err)
	}
	s.Host, s.Port, s.Password = "db2", 3307, sitekind.NewSecret("p w")
	if err := New().WriteSettings(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	if got, want := text(t, dir, ".env"), "DB_DATABASE=a\r\nDB_HOST=db2\r\nDB_PORT=3307\r\nDB_USERNAME=b\r\nDB_PASSWORD='p w'\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		found bool
	}{
		"another program":    {map[string]string{".env": "DB_DATABASE=a\n"}, true},
		"a file of no ones":  {map[string]string{".env": "COMPOSE_PROJECT_NAME=a\n"}, false},
		"no text":            {map[string]string{".env": "\x00"}, false},
		"nothing":            {map[string]string{"public/index.php": ""}, false},
		"Laravel without it": {map[string]string{"artisan": ""}, true},
	} {
		_, p := lay(t, c.files)
		if d, err := New().Detect(t.Context(), p); err != nil || d.Found != c.found {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	_, p := lay(t, map[string]string{"artisan": "", ".env": "DB_CONNECTION=sqlite\n"})
	if _, err := New().ReadSettings(t.Context(), p); !errors.Is(err, sitekind.ErrNoSettings) {
		t.Errorf("SQLite gives %v", err)
	}
	_, p = lay(t, map[string]string{"artisan": "", ".env": "DB_CONNECTION=pgsql\nDB_DATABASE=a\n"})
	if _, err := New().ReadSettings(t.Context(), p); problemOf(err) != sitekind.Refused {
		t.Errorf("PostgreSQL gives %v", err)
	}
}
