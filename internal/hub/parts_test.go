package hub

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// again backs the site of backedUp up once more, with other files and tables.
func (r *rig) again(t *testing.T, tables []backuptest.Table, noDB bool) *model.Backup {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php echo 2;"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "new\xff"), nil, 0o644))
	site, err := r.hub.Catalogue.Site(t.Context(), "example.com")
	must(t, err)
	site.DBServer, site.StructureOnly = "db1", []string{"bare_*"}
	if noDB {
		site.DBServer = ""
	}
	maker := backup.New(backup.Deps{
		Agents: &backuptest.Agents{Dir: dir, Tables: tables}, Store: r.hub.Store, Catalogue: r.hub.Catalogue,
		Server: hclog.NewNullLogger(), Now: time.Now,
	})
	b, err := maker.Make(t.Context(), backup.Request{Site: site, Task: "T1", Format: "tar.gz", Origin: model.OriginManual}, quiet{})
	must(t, err)
	return b
}

func TestReadTables(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	r.backedUp(t)
	id := r.again(t, []backuptest.Table{{Name: "a[1]", Rows: []string{"x"}}, {Name: "posts", Rows: []string{"y", "z"}}, {Name: "postmeta"}}, false).ID
	sql := func(id string, names ...string) (string, error) {
		stream, err := c.ReadTables(t.Context(), &sitekeepv1.ReadTablesRequest{Id: id, Tables: names})
		must(t, err)
		return pieces(t, stream.Recv)
	}
	const head, tail = "SET NAMES utf8mb4;\n", "-- Dump completed;\n"
	const brackets = "CREATE TABLE `a[1]` (x text);\nINSERT INTO `a[1]` VALUES ('x');\n"
	const posts = "CREATE TABLE `posts` (x text);\nINSERT INTO `posts` VALUES ('y');\nINSERT INTO `posts` VALUES ('z');\n"
	const meta = "CREATE TABLE `postmeta` (x text);\n"
	for _, q := range []struct {
		names []string
		want  string
	}{
		{[]string{"posts"}, posts}, {[]string{"post*"}, posts + meta}, {[]string{"a[1]"}, brackets},
		{[]string{"postmeta", "a*"}, brackets + meta},
	} {
		if got, err := sql(id, q.names...); err != nil || got != head+q.want+tail {
			t.Errorf("%q: %q, %v", q.names, got, err)
		}
	}
	for name, want := range map[string]errs.Kind{"nothing": errs.NotFound, "[": errs.Usage} {
		if got, err := sql(id, "posts", name); !errs.Is(err, want) || got != "" || errs.HintOf(err) == "" || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := sql(id); !errs.Is(err, errs.Usage) {
		t.Errorf("no table: %v", err)
	}
	if _, err := sql(r.again(t, nil, true).ID, "posts"); !errs.Is(err, errs.NotFound) {
		t.Errorf("no dump: %v", err)
	}
}

func TestListTables(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	r.backedUp(t)
	var many []backuptest.Table
	for i := range entriesChunk + 1 {
		many = append(many, backuptest.Table{Name: fmt.Sprintf("t%d", i), Rows: []string{"x"}})
	}
	list := func(id string) (out []*sitekeepv1.Table, err error) {
		stream, err := c.ListTables(t.Context(), &sitekeepv1.ListTablesRequest{Id: id})
		must(t, err)
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			if err != nil {
				return out, err
			}
			out = append(out, m.Tables...)
		}
	}
	got, err := list(r.again(t, many, false).ID)
	if err != nil || len(got) != len(many) || got[0].Name != "t0" || got[0].Kind != "table" || got[0].Bytes == 0 || got[0].PackedBytes == 0 || got[len(got)-1].Name != many[len(many)-1].Name {
		t.Errorf("%d tables, %v, %v", len(got), got[:min(1, len(got))], err)
	}
	got, err = list(r.again(t, []backuptest.Table{{Name: "bare_a", Rows: []string{"x"}}, {Name: "empty"}}, false).ID)
	if err != nil || len(got) != 2 || !got[0].StructureOnly || got[1].StructureOnly {
		t.Errorf("tables without rows: %v, %v", got, err)
	}
	if _, err := list(r.again(t, nil, true).ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("no dump: %v", err)
	}
}

func TestDiffBackups(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	before := r.backedUp(t).ID
	after := r.again(t, []backuptest.Table{{Name: "posts", Rows: []string{"b"}}, {Name: "new"}}, false).ID
	diff := func(summary bool) (lines []string, sums *sitekeepv1.DiffSummary) {
		stream, err := c.DiffBackups(t.Context(), &sitekeepv1.DiffBackupsRequest{Before: before, After: after, SummaryOnly: summary})
		must(t, err)
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return lines, sums
			}
			must(t, err)
			for _, d := range m.Differences {
				name := d.GetEntryBefore().GetRawPath()
				if d.EntryAfter != nil {
					name = d.EntryAfter.RawPath
				}
				lines = append(lines, d.Change+" "+string(name)+d.GetTableAfter().GetName()+" "+strings.Join(d.What, ","))
			}
			sums = m.Summary
		}
	}
	got, sums := diff(false)
	want := []string{"removed files ", "removed files/caf\xe9 ", "removed files/deep ", "removed files/deep/a ", "changed index.php content,time",
		"removed link ", "added new\xff ", "removed twin.php ", "added new ", "changed posts rows"}
	got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, "changed  ") }) // the root's mode
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if sums.GetRemoved() != 6 || sums.GetAdded() != 1 || sums.GetTablesAdded() != 1 || sums.GetTablesChanged() != 1 || sums.GetChangedBytes() != 13 || sums.GetRemovedBytes() != 1<<20+6 {
		t.Errorf("sums: %v", sums)
	}
	if lines, short := diff(true); len(lines) != 0 || short.GetRemoved() != sums.GetRemoved() {
		t.Errorf("the sums alone: %q, %v", lines, short)
	}
}
