package restore

import (
	"errors"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// indexed calls f with what agents compare the live tree with, and returns the log.
func indexed(t *testing.T, f *fixture, b Basis, look func(treeIndex)) string {
	t.Helper()
	log := &diary{}
	b.Backup, b.Site = f.backup.ID, quirks{}.site()
	r := &run{basis: b, log: log, backups: library{f, newWorld(sagatest.NewFaults(), quirks{})}}
	must(t, r.withTarball(t.Context(), func(tarball *backup.Tarball) error {
		index, closeIndex := r.index(t.Context(), tarball)
		defer closeIndex()
		look(index)
		return nil
	}))
	return log.String()
}

func TestTheNewestBackupTellsOfLiveFiles(t *testing.T) {
	f := newFixture(t)
	newest := f.again()
	f.newer = func() (*model.Backup, error) { return &newest, nil }
	said := indexed(t, f, Basis{}, func(index treeIndex) {
		seen, ok := index.(archive.Seen)
		if !ok || "sha256:"+seen.Newer.Digest().String() != newest.Digest || "sha256:"+seen.Digest().String() != f.backup.Digest {
			t.Errorf("%T %+v", index, index)
		}
	})
	if said != "" {
		t.Error(said)
	}
}

// TestTheTarballAloneTells where there is no newer backup, it cannot be read, or there are no live files of the site.
func TestTheTarballAloneTells(t *testing.T) {
	f := newFixture(t)
	newest := f.again()
	gone := newest
	gone.ID = "elsewhere-20261123.001336"
	rows := map[string]struct {
		newest *model.Backup
		err    error
		basis  Basis
		told   string
	}{
		"it is the newest itself": {&f.backup, nil, Basis{}, ""},
		"none is listed":          {nil, nil, Basis{}, ""},
		"the list fails":          {nil, errors.New("database is locked"), Basis{}, "database is locked"},
		"its file is gone":        {&gone, nil, Basis{}, "so they are read"},
		"a new site":              {&newest, nil, Basis{New: true}, ""},
		"a drill":                 {&newest, nil, Basis{Part: Drill}, ""},
	}
	for what, c := range rows {
		f.newer = func() (*model.Backup, error) { return c.newest, c.err }
		said := indexed(t, f, c.basis, func(index treeIndex) {
			if _, alone := index.(*backup.Tarball); !alone {
				t.Errorf("%s: %T", what, index)
			}
		})
		if !strings.Contains(said, c.told) || (said == "") != (c.told == "") {
			t.Errorf("%s: said %q", what, said)
		}
	}
}
