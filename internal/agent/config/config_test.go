package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/webserver"
)

var update = flag.Bool("update", false, "write the expected errors anew")

// TestErrors compares what an operator reads with testdata/bad/*.want.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files of bad configurations (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse("agent.yaml", text)
			if !errs.Is(err, errs.Precondition) {
				t.Fatalf("error = %v (kind %v)", err, errs.KindOf(err))
			}
			got := fmt.Sprintf("%v\nhint: %s\n", err, errs.HintOf(err))
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSampleIsGood(t *testing.T) {
	cfg, err := config.Parse("sample", config.Sample())
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Allow: config.Allow{Roots: []string{"/var/www"}, Databases: []string{"*"}},
		MySQL: &config.MySQL{Socket: "/run/mysqld/mysqld.sock", User: "root", Dump: config.Dump{StructureOnly: []string{}}},
		Webserver: &webserver.Config{
			Kind: "nginx", VhostDir: "/etc/nginx/sitekeep.d", Listen: []string{"80"}, TestCommand: []string{"nginx", "-t"},
			ReloadCommand: []string{"nginx", "-s", "reload"}, WebGroup: "www-data", PHPFPM: "unix:/run/php/php-fpm.sock",
			PHPReloadCommand: []string{},
		},
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := config.Parse("x", []byte("allow: {roots: [/srv]}\nmysql: {socket: /s.sock}\nwebserver: {kind: nginx}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.Webserver; w.VhostDir != "/etc/nginx/sitekeep.d" || len(w.TestCommand) != 2 || w.WebGroup != "www-data" || w.Listen[0] != "80" || w.PHPFPM != "" {
		t.Errorf("webserver = %+v", w)
	}
	if cfg.MySQL.User != "root" || cfg.MySQL.PortOrDefault() != 3306 {
		t.Errorf("mysql = %+v", cfg.MySQL)
	}
}

func TestUnknownWebServer(t *testing.T) {
	_, err := config.Parse("agent.yaml", []byte("webserver:\n  listen: [80]\n  kind: lighttpd\n  vhost_dir: /etc/x\n"))
	if err == nil || !strings.Contains(err.Error(), `agent.yaml:3: webserver.kind: "lighttpd" is unknown`) {
		t.Errorf("error = %v", err)
	}
}

func TestSectionsMayBeLeftOut(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "allow:\nmysql:\nwebserver:\n", "allow: {roots: []}\n", "{}"} {
		cfg, err := config.Parse("x", []byte(text))
		if err != nil || cfg.MySQL != nil || cfg.Webserver != nil {
			t.Errorf("%q: %+v, %v", text, cfg, err)
		}
	}
}

func TestDefaultsFileBringsItsUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.cnf")
	if err := os.WriteFile(file, []byte("[client]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("x", []byte("mysql: {defaults_file: "+file+"}\n"))
	if err != nil || cfg.MySQL.User != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestPasswordFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	m := &config.MySQL{PasswordFile: file}
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o660: false, 0o606: false} {
		if err := errors.Join(os.WriteFile(file, []byte(" se'cret \n"), 0o600), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
		got, err := m.Password()
		if good && (err != nil || got != " se'cret ") {
			t.Errorf("mode %o: %q, %v", mode, got, err)
		}
		if !good && (!errs.Is(err, errs.Permission) || !strings.Contains(errs.HintOf(err), "chmod 600")) {
			t.Errorf("mode %o: error = %v, hint %q", mode, err, errs.HintOf(err))
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := (&config.MySQL{}).Password(); got != "" || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
	_, err := config.Parse("agent.yaml", []byte("mysql:\n  socket: /s\n  password_file: "+file+"\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "agent.yaml:3: mysql.password_file: ") {
		t.Errorf("a missing file: error = %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := config.Load(dir); !errs.Is(err, errs.NotFound) || !strings.Contains(errs.HintOf(err), config.SampleName) {
		t.Errorf("no file: error = %v, hint %q", err, errs.HintOf(err))
	}
	if err := os.WriteFile(filepath.Join(dir, config.FileName), config.Sample(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(dir); err != nil {
		t.Error(err)
	}
}
