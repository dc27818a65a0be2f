package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// ImportBackup refuses a hostile tarball, and one for refused.* before it has read any.
func (m *fakeMaster) ImportBackup(stream grpc.ClientStreamingServer[pb.ImportBackupRequest, pb.ImportBackupResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	h := first.GetHeader()
	if strings.HasPrefix(h.GetSite(), "refused.") {
		return errs.New(errs.Permission, "ask an admin", "the role operator may not do this")
	}
	var tar, dump strings.Builder
	name, to := "", &tar
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			m.called("ImportBackup site=%s was cut off", h.GetSite())
			return err
		}
		if r.DumpName != "" {
			name, to = r.DumpName, &dump
		}
		to.Write(r.Data)
	}
	if strings.HasPrefix(tar.String(), "hostile") {
		return errs.New(errs.Precondition, "look at what is in it", "import %s: name \"../x\" leads upwards\x1b[2J", h.GetSource())
	}
	m.called("ImportBackup site=%s source=%q kind=%s format=%s description=%q files_only=%v size=%d tar=%d dump=%q %d",
		h.GetSite(), h.GetSource(), h.GetKind(), h.GetFormat(), h.GetDescription(), h.GetFilesOnly(), h.GetSize(), tar.Len(), name, dump.Len())
	out := &pb.ImportBackupResponse{Backup: &pb.Backup{Id: h.GetSite() + "-20261124.120000", Site: h.GetSite(), Origin: "imported", Format: "tar.zst"},
		Kind: "drupal", OldName: "old.example", Docroot: "web"}
	if strings.HasPrefix(h.GetSite(), "setid.") {
		out.Warnings = []string{"\"./a\": set-id bits of mode 4755 were dropped\x1b[2J"}
	}
	m.mu.Lock()
	m.backups = append(m.backups, out.GetBackup())
	m.mu.Unlock()
	return stream.SendAndClose(out)
}

func (m *fakeMaster) DeployBackup(_ context.Context, r *pb.DeployBackupRequest) (*pb.DeployBackupResponse, error) {
	s := r.GetSite()
	m.called("DeployBackup backup=%s site=%s web=%v db=%s root=%s docroot=%s kind=%s alias=%v old=%s grace=%s queue=%v files_only=%v",
		r.Backup, s.GetName(), s.GetWebServers(), s.GetDbServer(), s.GetRoot(), s.GetDocroot(), s.GetKind(), s.GetAliases(), r.OldName,
		graceOf(r.Grace), r.Queue, r.FilesOnly)
	if r.DryRun {
		return &pb.DeployBackupResponse{Plan: previewed(r.Backup)}, nil
	}
	t, err := m.start("deploy", s.GetName(), r.Queue)
	return &pb.DeployBackupResponse{Task: t}, err
}

// previewed is the plan of a site that is made.
func previewed(backup string) *pb.PlanRestoreResponse {
	return &pb.PlanRestoreResponse{
		Backup: backup, NewDatabase: "example_abc", Steps: []*pb.PlanStep{{Name: "create_database", Servers: []string{"db1"}, Description: "make it"}},
		DowntimeBasis: "nobody visits it", Room: []*pb.PlanRoom{{Server: "web1", Place: "beside /r", NeededBytes: 1 << 20, FreeBytes: 1 << 30}},
	}
}

func graceOf(d *durationpb.Duration) string {
	if d == nil {
		return "none"
	}
	return d.AsDuration().String()
}
