//go:build integration

package e2e_test

import (
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestNoSecretIsShown makes a backup and a restore while every process of the
// machine is watched, and looks through all that the programs have written.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	api := s.ok("token", "create", "canary", "--role", "admin")
	watcher := bed.WatchProcesses()
	t.Cleanup(func() { watcher.Stop() })
	secrets := []string{s.db.Password, s.site.Password, api}

	s.backup() // by the native engine; the rest by the dump program
	s.onDB.Config.MySQL.Dump.Engine = "client"
	s.must(s.onDB.WriteConfig())
	s.restart(s.onDB.Process)
	id := s.backup()
	s.must(s.site.Wreck(t.Context()))
	s.done("restore", siteName, id, "--yes")
	s.settle()
	secrets = append(secrets, s.site.Password)
	s.done("restore", "--undo", siteName)
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.settle()
	secrets = append(secrets, s.site.Password)
	if secrets[1] == secrets[3] || secrets[3] == secrets[4] {
		t.Error("a restore did not change the password")
	}

	rounds := watcher.Stop()
	if len(watcher.Find("--defaults-extra-file=/dev/fd/")) == 0 {
		t.Errorf("in %d rounds the watcher never saw the dump program", rounds)
	}
	for _, where := range watcher.Find(secrets...) {
		t.Errorf("shown while it ran: %s", where)
	}
	s.notWritten(secrets)
	s.must(s.master.Stop()) // the catalogue's log goes into the catalogue
	s.notWritten(secrets)
}

// notWritten looks for secrets in logs, catalogue, manifests, the agents' data
// and all that the API says, as they are and in the encodings of JSON and SQL.
func (s *stage) notWritten(secrets []string) {
	s.t.Helper()
	var forms []string
	for _, secret := range secrets {
		if len(secret) < 16 {
			s.t.Fatalf("a secret of %d characters could be found by chance", len(secret))
		}
		forms = append(forms, secret, base64.StdEncoding.EncodeToString([]byte(secret))[:20], hex.EncodeToString([]byte(secret)))
	}
	var tarballs []string // they hold wp-config.php, as they must
	for _, f := range s.store() {
		if strings.HasSuffix(f, ".tar.zst") {
			tarballs = append(tarballs, filepath.Base(f))
		}
	}
	places := []string{s.master.DataDir, s.onWeb.DataDir, s.onDB.DataDir, filepath.Join(s.Dir(), "log")}
	for _, where := range bed.Must(bed.FindInFiles(forms, tarballs, places...))(s.t) {
		s.t.Errorf("written: %s", where)
	}
	if s.master.Alive() {
		s.notSaid(forms)
	}
}

func (s *stage) notSaid(forms []string) {
	s.t.Helper()
	asked := [][]string{
		{"site", "show", siteName}, {"site", "list"}, {"backups"}, {"task", "list"}, {"server", "list"},
		{"server", "show", "db1"}, {"server", "check", "db1"}, {"server", "check", "web1"}, {"token", "list"},
	}
	for _, task := range read[[]taskInfo](s, "task", "list") {
		asked = append(asked, []string{"task", "show", task.ID}, []string{"task", "log", task.ID})
	}
	for _, args := range asked {
		r := s.CLI(s.master, append(args, "-o", "json")...)
		if r.Stdout == "" {
			s.t.Errorf("sitekeep %q says nothing: %s", args, r)
		}
		for i, form := range forms {
			if strings.Contains(r.Stdout+r.Stderr, form) {
				s.t.Errorf("sitekeep %q says secret %d", args, i/3)
			}
		}
	}
}
