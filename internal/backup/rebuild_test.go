package backup_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
)

// lost gives the rig a fresh catalogue.
func (r *rig) lost(known bool) *catalogue.Catalogue {
	r.Helper()
	book, err := catalogue.Open(r.Context(), filepath.Join(r.TempDir(), "catalogue.db"))
	r.must(err)
	r.Cleanup(func() { r.must(book.Close()) })
	if known {
		for _, name := range []string{"web1", "web2", "db1"} {
			r.must(book.CreateServer(r.Context(), model.Server{Name: name, Roles: []model.Role{model.RoleWeb, model.RoleDB}, JoinedAt: r.now}))
		}
		r.must(book.CreateSite(r.Context(), r.site))
	}
	return book
}

func (r *rig) rebuilt(book *catalogue.Catalogue) (backup.Rebuilt, []string) {
	r.Helper()
	var added []string
	out, err := backup.Rebuild(r.Context(), book, r.shelf, func(b model.Backup) { added = append(added, b.ID) })
	r.must(err)
	return out, added
}

func (r *rig) listed(book *catalogue.Catalogue) []model.Backup {
	r.Helper()
	var out []model.Backup
	for b, err := range book.AllBackups(r.Context(), catalogue.BackupFilter{}) {
		r.must(err)
		out = append(out, b)
	}
	return out
}

func (r *rig) sidecar(id string) string {
	return filepath.Join(r.dir, r.site.Name, id+".manifest.json")
}

// TestRebuild makes 20 backups, loses the catalogue, and gets every word of it back; then it changes nothing.
func TestRebuild(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.made(func(q *backup.Request) {
			q.Format = []string{store.TarZst, store.TarGz}[i%2]
			if i == 7 {
				q.PinReason = "safety backup of task T1"
				q.Origin = model.OriginSafety
			}
		})
	}
	want := r.listed(r.book)
	book := r.lost(true)
	out, added := r.rebuilt(book)
	if d := cmp.Diff(want, r.listed(book)); d != "" || out.Added != 20 || len(added) != 20 || len(out.Warnings)+len(out.Unknown) != 0 {
		t.Errorf("%+v\n%s", out, d)
	}
	if !slices.ContainsFunc(r.listed(book), func(b model.Backup) bool { return b.Pinned }) {
		t.Error("the pinned one is not pinned")
	}
	no := false
	_, err := book.UpdateBackup(t.Context(), want[0].ID, catalogue.BackupChange{Pinned: &no})
	r.must(err)
	before := r.listed(book)
	if out, _ := r.rebuilt(book); out.Added != 0 || out.Known != 20 || !cmp.Equal(before, r.listed(book)) {
		t.Errorf("a second time: %+v", out)
	}
}

// TestRebuildWithoutSidecars takes the tarballs' own word, and leaves out what is no backup of ours.
func TestRebuildWithoutSidecars(t *testing.T) {
	r := newRig(t)
	bare, torn, foreign, moved, going, broken := r.made(), r.made(), r.made(), r.made(), r.made(), r.made()
	want := *bare
	r.must(os.Remove(r.sidecar(bare.ID)))
	other, err := os.ReadFile(r.sidecar(moved.ID))
	r.must(err)
	r.must(os.WriteFile(r.sidecar(foreign.ID), other, 0o600))
	own, err := os.ReadFile(r.sidecar(torn.ID))
	r.must(err)
	r.must(os.WriteFile(r.sidecar(torn.ID), bytes.Replace(own, []byte(torn.Digest), []byte(foreign.Digest), 1), 0o600))
	renamed := strings.Replace(r.path(moved.ID), moved.ID, "example.com-20200101.000000", 1)
	r.must(os.Rename(r.path(moved.ID), renamed))
	r.must(os.Link(r.path(going.ID), r.path(going.ID)+".deleted"))
	text, err := os.ReadFile(r.path(broken.ID))
	r.must(err)
	r.must(os.WriteFile(r.path(broken.ID), text[:len(text)-10], 0o600))

	book := r.lost(false)
	out, added := r.rebuilt(book)
	if !slices.Equal(added, []string{bare.ID, torn.ID, foreign.ID}) || !slices.Equal(out.Unknown, []string{"example.com"}) || len(out.Warnings) != 6 {
		t.Errorf("added %q of %q\n%+v", added, []string{bare.ID, torn.ID, foreign.ID}, out)
	}
	for id, says := range map[string]string{
		bare.ID: "has no sidecar", torn.ID: "damaged or another's", foreign.ID: "damaged or another's", "example.com-20200101.000000": "its manifest is that of " + moved.ID,
		going.ID: "being made, or removed", broken.ID: "tar may still read",
	} {
		if !slices.ContainsFunc(out.Warnings, func(w string) bool { return strings.Contains(w, id) && strings.Contains(w, says) }) {
			t.Errorf("nothing says that %s %s:\n%s", id, says, strings.Join(out.Warnings, "\n"))
		}
	}
	got, err := book.Backup(t.Context(), bare.ID)
	r.must(err)
	want.TaskID, want.NewBytes = "", want.Size // of these the tarball says nothing
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("from the tarball alone:\n%s", d)
	}
	if now, err := os.ReadFile(renamed); err != nil || !bytes.Equal(now[:2], text[:2]) {
		t.Errorf("a tarball was touched: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Rebuild(ctx, book, r.shelf, func(model.Backup) {}); err == nil {
		t.Error("it goes on after the end of its context")
	}
}
