package model_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestBackupIDRoundTrip(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 13, 36, 0, time.FixedZone("x", 3600))
	for n, want := range []string{"my-site.example.com-20261123.001336", "my-site.example.com-20261123.001336_1"} {
		id := model.BackupID("my-site.example.com", at, n)
		if id != want {
			t.Fatalf("id = %s, want %s", id, want)
		}
		site, when, err := model.ParseBackupID(id)
		if err != nil || site != "my-site.example.com" || !when.Equal(at) {
			t.Fatalf("parsed %s as %s, %v, %v", id, site, when, err)
		}
	}
}

func TestHostileIdentifiers(t *testing.T) {
	for _, name := range []string{"", "..", "../x", "a/b", "A.example", "a b", "a\x00b", "a..b", "-a", "a-", ".a", "a\n", strings.Repeat("a.", 150) + "a"} {
		if err := model.CheckSiteName(name); !errs.Is(err, errs.Usage) {
			t.Errorf("site name %q passed (%v)", name, err)
		}
		if _, _, err := model.ParseBackupID(name + "-20261123.001336"); !errs.Is(err, errs.NotFound) {
			t.Errorf("backup of %q passed (%v)", name, err)
		}
	}
	for _, id := range []string{"a.example", "a.example-20261323.001336", "a.example-20261123.001336_x", "a.example-20261123.001336/x"} {
		if _, _, err := model.ParseBackupID(id); err == nil {
			t.Errorf("backup id %q passed", id)
		}
	}
	for _, p := range []string{"", "/", "var/www", "/var/../etc", "/var//www", "/var/www/", "/var/\x00"} {
		if err := model.CheckPath("root", p); err == nil {
			t.Errorf("path %q passed", p)
		}
	}
}

func TestOrdinaryIdentifiers(t *testing.T) {
	for _, name := range []string{"example.com", "localhost", "xn--bcher-kva.example", "a.b-c.example", "1.example", "my_site.example"} {
		if err := model.CheckSiteName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"web1", "db-1.example.com", "W"} {
		if err := model.CheckServerName(name); err != nil {
			t.Error(err)
		}
	}
	if err := model.CheckPath("root", "/var/www/a b"); err != nil {
		t.Error(err)
	}
}
