package hub

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/wire"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// local is a connection of the machine's own administrator.
func (r *rig) local(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+r.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors()), grpc.WithChainStreamInterceptor(wire.StreamClientErrors()))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// backedUp makes a real backup of a made-up site, example.com.
func (r *rig) backedUp(t *testing.T) *model.Backup {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "files", "deep"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php echo 1;"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "files", "deep", "a"), bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "files", "caf\xe9"), []byte("latin1"), 0o600))
	must(t, os.Symlink("index.php", filepath.Join(dir, "link")))
	must(t, os.Link(filepath.Join(dir, "index.php"), filepath.Join(dir, "twin.php")))
	r.addSite(t, "example.com", "")
	site, err := r.hub.Catalogue.Site(t.Context(), "example.com")
	must(t, err)
	site.DBServer = "db1"
	maker := backup.New(backup.Deps{
		Agents: &backuptest.Agents{Dir: dir, Tables: []backuptest.Table{{Name: "posts", Rows: []string{"a"}}}},
		Store:  r.hub.Store, Catalogue: r.hub.Catalogue, Server: hclog.NewNullLogger(), Now: time.Now,
	})
	b, err := maker.Make(t.Context(), backup.Request{Site: site, Task: "T0", Format: "tar.zst", Origin: model.OriginManual}, quiet{})
	must(t, err)
	return b
}

type quiet struct{}

func (quiet) Log(model.Level, string, ...any)      {}
func (quiet) Warn(string, ...any)                  {}
func (quiet) Progress(string, int64, int64, int64) {}

func entries(t *testing.T, c sitekeepv1.BackupServiceClient, id, path string, recursive bool) ([]string, error) {
	t.Helper()
	stream, err := c.ListEntries(t.Context(), &sitekeepv1.ListEntriesRequest{Id: id, Path: path, Recursive: recursive})
	must(t, err)
	var out []string
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		for _, e := range m.Entries {
			out = append(out, e.Type+" "+e.Path)
		}
	}
}

func TestListEntries(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	id := r.backedUp(t).ID
	for _, q := range []struct {
		path      string
		recursive bool
		want      string
	}{
		{"", false, "dir files, file index.php, symlink link, hardlink twin.php"},
		{"/", false, "dir files, file index.php, symlink link, hardlink twin.php"},
		{"./files/", false, "file files/caf\uFFFD, dir files/deep"},
		{"files", true, "file files/caf\uFFFD, dir files/deep, file files/deep/a"},
		{"index.php", false, "file index.php"},
		{"../../index.php", false, "file index.php"},
	} {
		got, err := entries(t, c, id, q.path, q.recursive)
		got = slices.DeleteFunc(got, func(e string) bool { return e == "file database.sql" })
		if err != nil || strings.Join(got, ", ") != q.want {
			t.Errorf("%q: %q, %v", q.path, strings.Join(got, ", "), err)
		}
	}
	for _, missing := range []string{"file", "files/dee", "index.php/x"} {
		if got, err := entries(t, c, id, missing, true); !errs.Is(err, errs.NotFound) || len(got) != 0 {
			t.Errorf("%q: %v, %v", missing, got, err)
		}
	}
	if _, err := entries(t, c, "example.com-20200101.000000", "", false); !errs.Is(err, errs.NotFound) {
		t.Errorf("no such backup: %v", err)
	}
}

func read(t *testing.T, c sitekeepv1.BackupServiceClient, id, path string) (string, error) {
	t.Helper()
	stream, err := c.ReadEntry(t.Context(), &sitekeepv1.ReadEntryRequest{Id: id, Path: path})
	must(t, err)
	return pieces(t, stream.Recv)
}

// pieces reads a stream that ends with the hash of what it has brought.
func pieces[P interface {
	GetData() []byte
	GetSha256() string
}](t *testing.T, recv func() (P, error)) (string, error) {
	t.Helper()
	var out bytes.Buffer
	said := ""
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			if sum := sha256.Sum256(out.Bytes()); said != hex.EncodeToString(sum[:]) {
				t.Errorf("it ends with the hash %q", said)
			}
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		out.Write(m.GetData())
		said = m.GetSha256()
	}
}

func TestReadEntry(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	b := r.backedUp(t)
	raw, err := c.ReadEntry(t.Context(), &sitekeepv1.ReadEntryRequest{Id: b.ID, RawPath: []byte("files/caf\xe9")})
	must(t, err)
	if got, err := pieces(t, raw.Recv); err != nil || got != "latin1" {
		t.Errorf("a path that is not UTF-8: %q, %v", got, err)
	}
	for path, want := range map[string]string{"index.php": "<?php echo 1;", "./twin.php": "<?php echo 1;", "files/deep/a": strings.Repeat("0123456789abcdef", 1<<16)} {
		if got, err := read(t, c, b.ID, path); err != nil || got != want {
			t.Errorf("%s: %.30q, %v", path, got, err)
		}
	}
	if got, err := read(t, c, b.ID, "database.sql"); err != nil || !strings.Contains(got, "INSERT INTO `posts`") {
		t.Errorf("the dump: %.60q, %v", got, err)
	}
	for path, want := range map[string]errs.Kind{"files": errs.Usage, "link": errs.Usage, "nothing": errs.NotFound, "": errs.Usage} {
		if _, err := read(t, c, b.ID, path); !errs.Is(err, want) || errs.HintOf(err) == "" {
			t.Errorf("%q: %v (%v)", path, err, errs.KindOf(err))
		}
	}
}

func TestDownloadBackup(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	b := r.backedUp(t)
	stream, err := c.DownloadBackup(t.Context(), &sitekeepv1.DownloadBackupRequest{Id: b.ID})
	must(t, err)
	sum, size, said := sha256.New(), int64(0), ""
	first := true
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if first && (m.Backup.GetId() != b.ID || m.Backup.GetSize() != b.Size) {
			t.Errorf("it begins with %v", m)
		}
		first = false
		sum.Write(m.Data)
		size += int64(len(m.Data))
		said += m.Sha256
	}
	if size != b.Size || said != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("%d of %d bytes, %s", size, b.Size, said)
	}
}

func TestDeleteBackup(t *testing.T) {
	r := newRig(t)
	conn := r.local(t)
	c := sitekeepv1.NewBackupServiceClient(conn)
	b := r.backedUp(t)
	deleted := func() error {
		_, err := c.DeleteBackup(t.Context(), &sitekeepv1.DeleteBackupRequest{Id: b.ID})
		return err
	}
	_, err := c.PinBackup(t.Context(), &sitekeepv1.PinBackupRequest{Id: b.ID, Pinned: true})
	must(t, err)
	if err := deleted(); !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "unpin") {
		t.Errorf("pinned: %v", err)
	}
	_, err = c.PinBackup(t.Context(), &sitekeepv1.PinBackupRequest{Id: b.ID})
	must(t, err)
	running := r.task(t, model.TaskRestore, "example.com", model.TaskRunning)
	if err := deleted(); !errs.Is(err, errs.Busy) || !strings.Contains(err.Error(), running) {
		t.Errorf("in use: %v", err)
	}
	r.move(t, running, model.TaskSucceeded)
	must(t, deleted())
	if _, err := r.hub.Store.Open(t.Context(), b.ID, b.Format); !errs.Is(err, errs.NotFound) {
		t.Errorf("the tarball is still there: %v", err)
	}
	if err := deleted(); !errs.Is(err, errs.NotFound) {
		t.Errorf("a second time: %v", err)
	}
}

// task records one in a state.
func (r *rig) task(t *testing.T, kind model.TaskKind, site string, state model.TaskState) string {
	t.Helper()
	id := "01KACQ4J7XK0VJ7N3YH2" + strings.ToUpper(hex.EncodeToString([]byte{byte(len(r.made)), 1, 2}))
	r.made = append(r.made, id)
	_, err := r.hub.Catalogue.AddTask(t.Context(), model.Task{ID: id, Kind: kind, Site: site, State: model.TaskQueued, Spec: []byte("{}"), CreatedAt: time.Now()}, false, false)
	must(t, err)
	_, err = r.hub.Catalogue.MoveTask(t.Context(), model.Task{ID: id, State: state, Attempt: 1, Error: "it broke"}, model.TaskQueued)
	must(t, err)
	return id
}

func (r *rig) move(t *testing.T, id string, to model.TaskState) {
	t.Helper()
	task, err := r.hub.Catalogue.Task(t.Context(), id)
	must(t, err)
	from := task.State
	task.State = to
	_, err = r.hub.Catalogue.MoveTask(t.Context(), task, from)
	must(t, err)
}

// TestASiteThatNeedsAnOperator takes backups, and nothing that changes it.
func TestASiteThatNeedsAnOperator(t *testing.T) {
	r := newRig(t)
	conn := r.local(t)
	b := r.backedUp(t)
	stuck := r.task(t, model.TaskRestore, "example.com", model.TaskNeedsOperator)
	restores, sites, backups := sitekeepv1.NewRestoreServiceClient(conn), sitekeepv1.NewSiteServiceClient(conn), sitekeepv1.NewBackupServiceClient(conn)
	for what, call := range map[string]func() error{
		"restore": func() error {
			_, err := restores.RestoreSite(t.Context(), &sitekeepv1.RestoreSiteRequest{Site: "example.com", Backup: b.ID, Queue: true})
			return err
		},
		"undo": func() error {
			_, err := restores.UndoRestore(t.Context(), &sitekeepv1.UndoRestoreRequest{Site: "example.com"})
			return err
		},
		"verify": func() error {
			_, err := sites.VerifySite(t.Context(), &sitekeepv1.VerifySiteRequest{Name: "example.com", Queue: true})
			return err
		},
		"remove": func() error {
			_, err := sites.DeleteSite(t.Context(), &sitekeepv1.DeleteSiteRequest{Name: "example.com"})
			return err
		},
	} {
		if err := call(); !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), stuck) || !strings.Contains(errs.HintOf(err), "sitekeep task retry "+stuck) {
			t.Errorf("%s: %v, hint %q", what, err, errs.HintOf(err))
		}
	}
	if _, err := backups.CreateBackup(t.Context(), &sitekeepv1.CreateBackupRequest{Site: "example.com"}); err != nil {
		t.Errorf("backup: %v", err)
	}
}

func TestRetryTask(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewTaskServiceClient(r.local(t))
	r.addSite(t, "a.example", "")
	retry := func(id string) (*sitekeepv1.Task, error) {
		reply, err := c.RetryTask(t.Context(), &sitekeepv1.RetryTaskRequest{Id: id, Queue: true})
		return reply.GetTask(), err
	}
	for _, state := range []model.TaskState{model.TaskFailed, model.TaskCancelled} {
		id := r.task(t, model.TaskBackup, "a.example", state)
		got, err := retry(id)
		if err != nil || got.Id == id || got.Kind != "backup" || got.Site != "a.example" || got.State != sitekeepv1.TaskState_TASK_STATE_QUEUED {
			t.Errorf("%s: %v, %v", state, got, err)
		}
	}
	stuck := r.task(t, model.TaskRestore, "a.example", model.TaskNeedsOperator)
	got, err := retry(stuck)
	if err != nil || got.Id != stuck || got.State != sitekeepv1.TaskState_TASK_STATE_QUEUED {
		t.Errorf("needs an operator: %v, %v", got, err)
	}
	for _, state := range []model.TaskState{model.TaskSucceeded, model.TaskWarning, model.TaskRunning, model.TaskQueued} {
		if got, err := retry(r.task(t, model.TaskBackup, "a.example", state)); !errs.Is(err, errs.Precondition) {
			t.Errorf("%s: %v, %v", state, got, err)
		}
	}
	if _, err := retry("01KACQ4J7XK0VJ7N3YH2MISSED"); !errs.Is(err, errs.NotFound) {
		t.Errorf("unknown: %v", err)
	}
	theirs := r.task(t, model.TaskBackup, "a.example", model.TaskFailed)
	mine := withToken(t.Context(), r.token(t, catalogue.APIOperator, "me"))
	remote := sitekeepv1.NewTaskServiceClient(r.dial(t, r.pinned()))
	if _, err := remote.RetryTask(mine, &sitekeepv1.RetryTaskRequest{Id: theirs}); status.Code(err) != codes.NotFound {
		t.Errorf("another client's: %v", err)
	}
}

func TestRestoreRequests(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewRestoreServiceClient(r.local(t))
	b := r.backedUp(t)
	r.addSite(t, "other.example", "")
	bad := map[string]*sitekeepv1.RestoreSiteRequest{
		"both parts": {Site: "example.com", Backup: b.ID, FilesOnly: true, DbOnly: true}, "another site's": {Site: "other.example", Backup: b.ID},
	}
	for what, q := range bad {
		if _, err := c.RestoreSite(t.Context(), q); !errs.Is(err, errs.Usage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.PlanRestore(t.Context(), &sitekeepv1.PlanRestoreRequest{Site: "example.com", Backup: b.ID, FilesOnly: true, DbOnly: true}); !errs.Is(err, errs.Usage) {
		t.Errorf("plan of both parts: %v", err)
	}
	for part, q := range map[restore.Part]*sitekeepv1.RestoreSiteRequest{
		restore.FilesOnly: {FilesOnly: true}, restore.DatabaseOnly: {DbOnly: true}, restore.Whole: {},
	} {
		q.Site, q.Backup, q.Queue = "example.com", "latest", true
		reply, err := c.RestoreSite(t.Context(), q)
		must(t, err)
		task, err := r.hub.Catalogue.Task(t.Context(), reply.Task.Id)
		must(t, err)
		if has := strings.Contains(string(task.Spec), `"Part":"`+string(part)+`"`); has != (part != restore.Whole) || !strings.Contains(string(task.Spec), b.ID) {
			t.Errorf("%q: the request is %s", part, task.Spec)
		}
	}
}

// TestPages: every backup is on one page, newest first.
func TestPages(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	r.addSite(t, "example.com", "")
	begun := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for i := range 7 {
		at := begun.Add(time.Duration(i) * time.Minute)
		must(t, r.hub.Catalogue.InsertBackup(t.Context(), model.Backup{ID: model.BackupID("example.com", at, 0), Site: "example.com", CreatedAt: at, Format: "tar.zst"}))
	}
	var seen []string
	token, pages := "", 0
	for {
		reply, err := c.ListBackups(t.Context(), &sitekeepv1.ListBackupsRequest{Site: "example.com", PageSize: 3, PageToken: token})
		must(t, err)
		pages++
		for _, b := range reply.Backups {
			seen = append(seen, b.Id)
		}
		if token = reply.NextPageToken; token == "" {
			break
		}
	}
	if pages != 3 || len(seen) != 7 || !slices.IsSortedFunc(seen, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%d pages: %v", pages, seen)
	}
	if _, err := c.ListBackups(t.Context(), &sitekeepv1.ListBackupsRequest{Site: "never.example"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("a site that never was: %v", err)
	}
	must(t, r.hub.Catalogue.DeleteSite(t.Context(), "example.com"))
	if reply, err := c.ListBackups(t.Context(), &sitekeepv1.ListBackupsRequest{Site: "example.com"}); err != nil || len(reply.Backups) != 7 {
		t.Errorf("a site that was removed: %v", err)
	}
}
