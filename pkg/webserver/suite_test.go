package webserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// kindRow is what the tests need to know of one kind of web server.
type kindRow struct {
	name string
	// unquote reads one argument of a line of configuration back, the way the
	// server does.
	unquote func(string) string
	// docroot is the directive that names the docroot.
	docroot string
}

func kindRows() []kindRow {
	return []kindRow{
		{name: "nginx", docroot: "root", unquote: nginxUnquote},
		{name: "apache", docroot: "DocumentRoot", unquote: apacheUnquote},
	}
}

// nginxUnquote follows ngx_conf_read_token: a quoted argument ends at the first
// quote without a backslash, and then nothing may follow but its semicolon.
func nginxUnquote(s string) string {
	rest, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return "not quoted: " + s
	}
	var out []byte
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"' && i == len(rest)-1:
			return string(out)
		case c == '"':
			return "ends early: " + s
		case c == '\\' && i+1 < len(rest) && strings.IndexByte(`"\'`, rest[i+1]) >= 0:
			i++
			out = append(out, rest[i])
		case c == '\\' && i+1 < len(rest) && strings.IndexByte("trn", rest[i+1]) >= 0:
			return "an escape: " + s
		default:
			out = append(out, c)
		}
	}
	return "does not end: " + s
}

// apacheUnquote follows substring_conf of Apache's util.c: a quoted argument
// ends at the first quote without a backslash, and a backslash is dropped
// before a backslash and the quote only.
func apacheUnquote(s string) string {
	if strings.ContainsAny(s, "\t") || strings.Contains(s, "${") {
		return "is expanded: " + s
	}
	return nginxUnquote(s)
}

func TestEveryKindHasARow(t *testing.T) {
	var names []string
	for _, r := range kindRows() {
		names = append(names, r.name)
	}
	if !slices.Equal(names, KindNames()) {
		t.Errorf("rows %v, kinds %v", names, KindNames())
	}
}

// eachKind runs a test over all kinds.
func eachKind(t *testing.T, test func(t *testing.T, row kindRow, b *bench)) {
	for _, r := range kindRows() {
		t.Run(r.name, func(t *testing.T) { test(t, r, newBench(t, r.name, nil)) })
	}
}

// scriptedRunner stands in for the commands of a web server. It records what
// was run and what the virtual hosts were at that moment.
type scriptedRunner struct {
	mu   sync.Mutex
	ran  []string
	fail func(command string) error
	hook func(command string)
}

// Run implements Runner.
func (r *scriptedRunner) Run(ctx context.Context, argv []string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran = append(r.ran, argv[0])
	if r.hook != nil {
		r.hook(argv[0])
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.fail != nil {
		if err := r.fail(argv[0]); err != nil {
			return []byte("output of " + argv[0]), err
		}
	}
	return nil, nil
}

// take returns what was run since the last call.
func (r *scriptedRunner) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ran := r.ran
	r.ran = nil
	return ran
}

// bench is a web server whose commands are scripted.
type bench struct {
	*Server
	dir    string
	runner *scriptedRunner
	clock  time.Time
}

func newBench(t *testing.T, kind string, edit func(*Config)) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), runner: &scriptedRunner{}, clock: time.Date(2026, 11, 23, 0, 13, 36, 0, time.UTC)}
	cfg := Config{
		Kind: kind, VhostDir: b.dir, Listen: []string{"80"},
		TestCommand: []string{"test"}, ReloadCommand: []string{"reload"}, PHPReloadCommand: []string{"php"},
		PHPFPM: "unix:/run/php.sock", WebGroup: "www-data",
	}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	b.Server, err = New(cfg, Deps{Runner: b.runner, Now: func() time.Time { return b.clock }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) site() Site {
	return Site{Name: "example.com", Docroot: "/var/www/example.com", Kind: "wordpress", PHP: true}
}

func (b *bench) conf() string { return filepath.Join(b.dir, "example.com.conf") }

func (b *bench) read(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(b.conf())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// put writes a virtual host as somebody else would.
func (b *bench) put(t *testing.T, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(b.conf(), []byte(text), mode), os.Chmod(b.conf(), mode)); err != nil {
		t.Fatal(err)
	}
}

// snapshot tells everything about a directory that is to be as it was: names,
// modes, link targets, contents, inodes.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		target, _ := os.Readlink(path)
		data, _ := os.ReadFile(path)
		out[e.Name()] = strings.Join([]string{info.Mode().String(), info.ModTime().String(), inode(info), target, string(data)}, "|")
	}
	return out
}
