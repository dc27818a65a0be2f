package master

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// quiet is a log that nobody reads.
type quiet struct{}

func (quiet) Log(model.Level, string, ...any)      {}
func (quiet) Warn(string, ...any)                  {}
func (quiet) Progress(string, int64, int64, int64) {}

// TestRebuildAfterTheCatalogueWasLost: the master that does not start says what to do, and when that was done it starts
// and lists what it had.
func TestRebuildAfterTheCatalogueWasLost(t *testing.T) {
	dir := inited(t)
	m, err := Open(t.Context(), options(dir))
	must(t, err)
	site := t.TempDir()
	must(t, os.WriteFile(filepath.Join(site, "index.php"), []byte("<?php"), 0o644))
	maker := backup.New(backup.Deps{
		Agents: &backuptest.Agents{Dir: site}, Store: m.store, Catalogue: m.catalogue, Server: hclog.NewNullLogger(), Now: time.Now,
	})
	b, err := maker.Make(t.Context(), backup.Request{
		Site: model.Site{Name: "example.com", Kind: "generic", WebServers: []string{"web1"}, Root: "/var/www/x", Docroot: "/var/www/x"},
		Task: "T0", Format: "tar.zst", Origin: model.OriginManual,
	}, quiet{})
	must(t, err)
	none := func(model.Backup) { t.Error("it has added something") }
	if _, err := Rebuild(t.Context(), dir, none); !errs.Is(err, errs.Precondition) {
		t.Errorf("beside a master that runs: %v", err)
	}
	must(t, m.Close())

	must(t, os.Remove(filepath.Join(dir, catalogueName)))
	if _, err := Open(t.Context(), options(dir)); !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "sitekeep catalogue rebuild") {
		t.Errorf("without a catalogue: %v (%s)", err, errs.HintOf(err))
	}
	var added []string
	out, err := Rebuild(t.Context(), dir, func(b model.Backup) { added = append(added, b.ID) })
	if err != nil || out.Added != 1 || len(added) != 1 || added[0] != b.ID || len(out.Unknown) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	again := opened(t, options(dir))
	if got, err := again.catalogue.Backup(t.Context(), b.ID); err != nil || got.Digest != b.Digest {
		t.Errorf("after it: %+v, %v", got, err)
	}

	nowhere := filepath.Join(t.TempDir(), "nowhere")
	if _, err := Rebuild(t.Context(), nowhere, none); err == nil || errs.HintOf(err) == "" {
		t.Errorf("no data directory: %v", err)
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("it has made one")
	}
}
