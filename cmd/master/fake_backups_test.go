package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func (m *fakeMaster) CreateBackup(_ context.Context, r *pb.CreateBackupRequest) (*pb.CreateBackupResponse, error) {
	m.called("CreateBackup site=%s description=%q format=%s full=%v queue=%v quiesce=%v detached=%v", r.Site, r.Description, r.Format, r.Full, r.Queue, r.Quiesce, r.Detached)
	t, err := m.start("backup", r.Site, r.Queue)
	return &pb.CreateBackupResponse{Task: t}, err
}

// CreateBackups knows the sites of the list, and takes any name for one.
func (m *fakeMaster) CreateBackups(_ context.Context, r *pb.CreateBackupsRequest) (*pb.CreateBackupsResponse, error) {
	m.called("CreateBackups all=%v client=%s names=%v description=%q queue=%v", r.All, r.Client, r.Names, r.Description, r.Queue)
	names, out := r.Names, &pb.CreateBackupsResponse{}
	if len(names) == 0 {
		for _, s := range m.sites {
			switch {
			case r.Client != "" && r.Client != s.Client:
			case s.Disabled:
				out.Disabled = append(out.Disabled, s.Name)
			default:
				names = append(names, s.Name)
			}
		}
	}
	if len(names) == 0 {
		return nil, errs.New(errs.NotFound, "see: sitekeep site list", "there is no such site to back up")
	}
	for _, name := range names {
		t, err := m.start("backup", strings.Replace(name, "*.", "a.", 1), r.Queue)
		if err != nil {
			out.Refused = append(out.Refused, &pb.RefusedBackup{Site: name, Error: err.Error(), ErrorKind: errs.KindOf(err).String(), Hint: errs.HintOf(err)})
			continue
		}
		out.Tasks = append(out.Tasks, t)
	}
	return out, nil
}

func (m *fakeMaster) ListBackups(_ context.Context, r *pb.ListBackupsRequest) (*pb.ListBackupsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasPrefix(r.Site, "missing.") {
		return nil, errs.New(errs.NotFound, "list them with: sitekeep site list", "no site %s", r.Site)
	}
	var all []*pb.Backup
	for _, b := range m.backups {
		if r.Site == "" || r.Site == b.Site {
			all = append(all, b)
		}
	}
	if strings.HasPrefix(r.Site, "paged.") {
		all = nil
		for i := range 25 {
			all = append(all, &pb.Backup{Id: fmt.Sprintf("paged.example-20260101.0000%02d", 59-i), Site: r.Site, CreatedAt: at(-i)})
		}
	}
	const pageSize = 10
	from, to := 0, len(all)
	if _, err := fmt.Sscanf(r.PageToken, "from %d", &from); err != nil && r.PageToken != "" {
		return nil, errs.New(errs.Usage, "", "bad page token %q", r.PageToken)
	}
	size := pageSize
	if r.PageSize > 0 {
		size = min(size, int(r.PageSize))
	}
	list := &pb.ListBackupsResponse{}
	if from+size < to {
		to = from + size
		list.NextPageToken = fmt.Sprintf("from %d", to)
	}
	list.Backups = all[from:to]
	return list, nil
}

func (m *fakeMaster) backup(id, site string) (*pb.Backup, error) {
	for _, b := range m.backups {
		if b.Id == id || id == "latest" && b.Site == site {
			return b, nil
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep backups", "no backup %s", id)
}

func (m *fakeMaster) GetBackup(_ context.Context, r *pb.GetBackupRequest) (*pb.GetBackupResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.backup(r.Id, r.Site)
	return &pb.GetBackupResponse{Backup: b}, err
}

func (m *fakeMaster) PinBackup(_ context.Context, r *pb.PinBackupRequest) (*pb.PinBackupResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.backup(r.Id, "")
	if err == nil {
		b = proto.CloneOf(b)
		b.Pinned = r.Pinned
	}
	return &pb.PinBackupResponse{Backup: b}, err
}

func (m *fakeMaster) DeleteBackup(_ context.Context, r *pb.DeleteBackupRequest) (*pb.DeleteBackupResponse, error) {
	m.called("DeleteBackup %s", r.Id)
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.backup(r.Id, "")
	if err != nil {
		return nil, err
	}
	if b.Pinned {
		return nil, errs.New(errs.Precondition, "sitekeep unpin "+b.Id, "%s is pinned", b.Id)
	}
	for i := range m.backups {
		if m.backups[i] == b {
			m.backups = append(append([]*pb.Backup{}, m.backups[:i]...), m.backups[i+1:]...)
			break
		}
	}
	return &pb.DeleteBackupResponse{}, nil
}

func (m *fakeMaster) CheckBackups(_ context.Context, r *pb.CheckBackupsRequest) (*pb.CheckBackupsResponse, error) {
	m.called("CheckBackups ids=%v all=%v read_data=%v", r.Ids, r.All, r.ReadData)
	t, err := m.start("check", "", false)
	if err == nil && len(r.Ids) > 0 && strings.HasPrefix(r.Ids[0], "rotten.") {
		m.mu.Lock()
		defer m.mu.Unlock()
		done, _ := m.find(t.Id)
		done.task.State, done.task.ErrorKind, done.task.Error = pb.TaskState_TASK_STATE_FAILED, "corrupt", "frame 3 of "+r.Ids[0]+" is damaged"
	}
	return &pb.CheckBackupsResponse{Task: t}, err
}

func (m *fakeMaster) ListEntries(r *pb.ListEntriesRequest, stream grpc.ServerStreamingServer[pb.ListEntriesResponse]) error {
	m.called("ListEntries id=%s path=%q raw=%q recursive=%v", r.Id, r.Path, r.RawPath, r.Recursive)
	if !strings.HasPrefix(r.Id, "example.com-") {
		return errs.New(errs.NotFound, "list them with: sitekeep backups", "no backup %s", r.Id)
	}
	if r.Path == "nowhere" {
		return errs.New(errs.NotFound, "see: sitekeep ls "+r.Id, "no entry nowhere in %s", r.Id)
	}
	parts := [][]*pb.Entry{{
		{Path: "wp-content", Type: "dir", Mode: 0o42775 & 0o7777, ModifiedAt: at(0), Owner: "www-data", Group: "www-data", Uid: 33, Gid: 33},
		{Path: "index.php", Type: "file", Size: 418, Mode: 0o644, ModifiedAt: at(0), Uid: 1000, Gid: 1000, Sha256: "00ff"},
	}, {}, {
		{Path: "current", Type: "symlink", Mode: 0o777, ModifiedAt: at(0), Owner: "root", Group: "root", LinkTarget: "releases/\x1b]0;owned\x07"},
		{Path: "evil\x1b[2J\nname", Type: "file", Mode: 0o4711, ModifiedAt: at(0), Owner: "root", Group: "root"},
		{Path: "raw\ufffd", RawPath: []byte("raw\xff"), Type: "hardlink", Mode: 0o1666, ModifiedAt: at(0), Owner: "root", Group: "root", LinkTarget: "index.php"},
	}}
	for _, part := range parts {
		if err := stream.Send(&pb.ListEntriesResponse{Entries: part}); err != nil {
			return err
		}
	}
	return nil
}

// sendPieces sends data in two parts and its hash; "cut", "short", "wrong" and "tail" in its name go wrong.
func sendPieces(name string, send func(data []byte, sum string) error) error {
	parts := []string{"<?php\x00\xff\x1b[31m", "\nend"}
	hash := sha256.New()
	for _, part := range parts {
		hash.Write([]byte(part))
		if err := send([]byte(part), ""); err != nil {
			return err
		}
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	switch name {
	case "cut":
		return errs.New(errs.Unreachable, "", "the store went away")
	case "short":
		return nil
	case "wrong":
		sum = strings.Repeat("0", 64)
	}
	if err := send(nil, sum); err != nil || name != "tail" {
		return err
	}
	return send([]byte("more"), "")
}

func (m *fakeMaster) ReadEntry(r *pb.ReadEntryRequest, stream grpc.ServerStreamingServer[pb.ReadEntryResponse]) error {
	m.called("ReadEntry id=%s path=%q raw=%q", r.Id, r.Path, r.RawPath)
	if r.Path == "nowhere" {
		return errs.New(errs.NotFound, "see: sitekeep ls "+r.Id, "no entry nowhere in %s", r.Id)
	}
	return sendPieces(r.Path, func(data []byte, sum string) error {
		return stream.Send(&pb.ReadEntryResponse{Data: data, Sha256: sum})
	})
}

func (m *fakeMaster) ReadTables(r *pb.ReadTablesRequest, stream grpc.ServerStreamingServer[pb.ReadTablesResponse]) error {
	m.called("ReadTables id=%s tables=%q", r.Id, r.Tables)
	if r.Tables[0] == "nowhere" {
		return errs.New(errs.NotFound, "see: sitekeep ls --tables "+r.Id, "no table of %s matches nowhere", r.Id)
	}
	return sendPieces(r.Tables[0], func(data []byte, sum string) error {
		return stream.Send(&pb.ReadTablesResponse{Data: data, Sha256: sum})
	})
}

func (m *fakeMaster) ListTables(r *pb.ListTablesRequest, stream grpc.ServerStreamingServer[pb.ListTablesResponse]) error {
	m.called("ListTables id=%s", r.Id)
	if !strings.HasPrefix(r.Id, "example.com-") {
		return errs.New(errs.NotFound, "", "backup %s holds no database", r.Id)
	}
	for _, t := range []*pb.Table{
		{Name: "wp_posts", Kind: "table", Rows: 1234, Bytes: 5 << 20, PackedBytes: 1 << 20},
		{Name: "sessions", Kind: "table", Bytes: 400, PackedBytes: 100, StructureOnly: true},
		{Name: "a view\x1b[2J", Kind: "view", Bytes: 300, PackedBytes: 100},
	} {
		if err := stream.Send(&pb.ListTablesResponse{Tables: []*pb.Table{t}}); err != nil {
			return err
		}
	}
	return nil
}

func (m *fakeMaster) DiffBackups(r *pb.DiffBackupsRequest, stream grpc.ServerStreamingServer[pb.DiffBackupsResponse]) error {
	m.called("DiffBackups before=%s after=%s summary_only=%v", r.Before, r.After, r.SummaryOnly)
	if strings.HasPrefix(r.Before, "nowhere") {
		return errs.New(errs.NotFound, "list them with: sitekeep backups", "no backup %s", r.Before)
	}
	entry := func(name string) *pb.Entry {
		return &pb.Entry{Path: strings.ToValidUTF8(name, "?"), RawPath: []byte(name), Type: "file"}
	}
	all := []*pb.Difference{
		{Change: "added", EntryAfter: entry("new file")},
		{Change: "changed", EntryBefore: entry("index.php"), EntryAfter: entry("index.php"), What: []string{"content", "size", "time"}},
		{Change: "removed", EntryBefore: entry("raw\xff\x1b[2J")},
		{Change: "changed", TableBefore: &pb.Table{Name: "wp_posts", Rows: 5}, TableAfter: &pb.Table{Name: "wp_posts", Rows: 7}, What: []string{"rows"}},
		{Change: "changed", TableBefore: &pb.Table{Name: "wp_options", Rows: 5}, TableAfter: &pb.Table{Name: "wp_options", Rows: 5}, What: []string{"structure", "rows"}},
		{Change: "added", TableAfter: &pb.Table{Name: "wp_new", Rows: 2}},
		{Change: "removed", TableBefore: &pb.Table{Name: "wp_old"}},
		{Change: "changed", TableBefore: &pb.Table{Kind: "routines"}, TableAfter: &pb.Table{Kind: "routines"}, What: []string{"definition"}},
	}
	for i := 0; i < len(all) && !r.SummaryOnly; i += 3 {
		if err := stream.Send(&pb.DiffBackupsResponse{Differences: all[i:min(i+3, len(all))]}); err != nil {
			return err
		}
	}
	if strings.HasPrefix(r.Before, "short") {
		return nil
	}
	return stream.Send(&pb.DiffBackupsResponse{Summary: &pb.DiffSummary{
		Added: 1, AddedBytes: 2048, Removed: 1, RemovedBytes: 10, Changed: 1, ChangedBytes: 418, TablesAdded: 1, TablesRemoved: 1, TablesChanged: 3, RowsBefore: 10, RowsAfter: 14,
	}})
}

// DownloadBackup sends "tarball\n" in two parts; the first label of the id says what goes wrong.
func (m *fakeMaster) DownloadBackup(r *pb.DownloadBackupRequest, stream grpc.ServerStreamingServer[pb.DownloadBackupResponse]) error {
	what, _, _ := strings.Cut(r.Id, ".")
	if what == "missing" {
		return errs.New(errs.NotFound, "list them with: sitekeep backups", "no backup %s", r.Id)
	}
	backup := &pb.Backup{Id: r.Id, Format: "tar.zst", Size: 8}
	sum := sha256.Sum256([]byte("tarball\n"))
	parts := []*pb.DownloadBackupResponse{{Backup: backup, Data: []byte("tar")}, {Data: []byte("ball\n")}, {Sha256: hex.EncodeToString(sum[:])}}
	switch what {
	case "cut", "short":
		parts = parts[:2]
	case "wrong":
		parts[2].Sha256 = strings.Repeat("0", 64)
	case "size":
		backup.Size = 9
	case "tail":
		parts = append(parts, &pb.DownloadBackupResponse{Data: []byte("more")})
	case "liar":
		backup.Id = "../../etc/liar-20261123.001336"
	case "strange":
		backup.Format = "../x"
	}
	for _, part := range parts {
		if err := stream.Send(part); err != nil {
			return err
		}
	}
	if what == "cut" {
		return errs.New(errs.Unreachable, "", "the store went away")
	}
	return nil
}

// parts is what a request chooses, if it does.
func parts(paths [][]byte, tables []string) string {
	if len(paths)+len(tables) == 0 {
		return ""
	}
	return fmt.Sprintf(" paths=%q tables=%q", paths, tables)
}

func (m *fakeMaster) RestoreSite(_ context.Context, r *pb.RestoreSiteRequest) (*pb.RestoreSiteResponse, error) {
	grace := "none"
	if r.Grace != nil {
		grace = r.Grace.AsDuration().String()
	}
	m.called("RestoreSite site=%s backup=%s grace=%s queue=%v files_only=%v db_only=%v%s", r.Site, r.Backup, grace, r.Queue, r.FilesOnly, r.DbOnly, parts(r.Paths, r.Tables))
	for _, p := range r.Paths {
		if string(p) == "nowhere" {
			return nil, errs.New(errs.NotFound, "see: sitekeep ls -R "+r.Backup, "nothing in backup %s matches %q", r.Backup, p)
		}
	}
	t, err := m.start("restore", r.Site, r.Queue)
	return &pb.RestoreSiteResponse{Task: t}, err
}

func (m *fakeMaster) PlanRestore(_ context.Context, r *pb.PlanRestoreRequest) (*pb.PlanRestoreResponse, error) {
	m.called("PlanRestore site=%s backup=%s files_only=%v db_only=%v%s", r.Site, r.Backup, r.FilesOnly, r.DbOnly, parts(r.Paths, r.Tables))
	plan := &pb.PlanRestoreResponse{Backup: r.Backup, Steps: []*pb.PlanStep{
		{Name: "check", Description: "look at everything"},
		{Name: "push_files", Servers: []string{"web1", "web2"}, Description: "send 121 MiB", Undo: "remove the staging directory"},
		{Name: "exchange", Servers: []string{"web1"}, Description: "exchange \x1b[31m", Undo: "exchange back", Downtime: true},
	}}
	if !r.DbOnly {
		plan.Files = []*pb.PlanFiles{
			{Server: "web1", Added: &pb.PlanDifference{Entries: 1, Bytes: 10, Paths: []string{"./a"}}, Changed: &pb.PlanDifference{Entries: 3, Bytes: 5000, Paths: []string{"./b\x1b"}}},
			{Server: "web2"},
		}
		plan.Tables = []*pb.PlanTable{{Name: "log", Change: "removed", LiveRows: 9}, {Name: "new", Change: "added", Rows: 1}, {Name: "posts", Change: "changed", Rows: 2, LiveRows: 3}}
		plan.Room = []*pb.PlanRoom{{Server: "web1", Place: "beside /var/www/x", NeededBytes: 1 << 20, FreeBytes: 1 << 30}, {Server: "db1", Place: "there", NeededBytes: 5}}
		plan.ExpectedDowntimeMs, plan.DowntimeBasis = 3500, "as long as in the last restore"
	}
	if strings.HasPrefix(r.Site, "warn.") {
		plan.Warnings = []string{"the owner 33 is unknown\x07"}
	}
	return plan, nil
}

func (m *fakeMaster) UndoRestore(_ context.Context, r *pb.UndoRestoreRequest) (*pb.UndoRestoreResponse, error) {
	m.called("UndoRestore site=%s", r.Site)
	if strings.HasPrefix(r.Site, "late.") {
		return nil, errs.New(errs.Precondition, "restore the safety backup", "the grace time of %s is over", r.Site)
	}
	t, err := m.start("undo", r.Site, false)
	return &pb.UndoRestoreResponse{Task: t}, err
}
