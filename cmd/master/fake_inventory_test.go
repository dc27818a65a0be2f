package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// fakeInventory answers what the master says of clients and of documents.
type fakeInventory struct {
	pb.UnimplementedClientServiceServer
	pb.UnimplementedInventoryServiceServer
	master *fakeMaster
}

func (f *fakeInventory) ListClients(context.Context, *pb.ListClientsRequest) (*pb.ListClientsResponse, error) {
	return &pb.ListClientsResponse{Clients: []*pb.Client{{Name: "acme", MaxTasks: 2, MaxSize: 5 << 30, Sites: 1, Backups: 2, BackupBytes: 1 << 20}, {Name: "free", Sites: 3}}}, nil
}

func (f *fakeInventory) GetClient(ctx context.Context, q *pb.GetClientRequest) (*pb.GetClientResponse, error) {
	list, err := f.ListClients(ctx, nil)
	for _, c := range list.GetClients() {
		if c.Name == q.Name {
			return &pb.GetClientResponse{Client: c}, err
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep client list", "no client %q", q.Name)
}

func (f *fakeInventory) SetClient(_ context.Context, q *pb.SetClientRequest) (*pb.SetClientResponse, error) {
	f.master.called("SetClient %s tasks=%v size=%v", q.Name, optional(q.MaxTasks), optional(q.MaxSize))
	return &pb.SetClientResponse{Client: &pb.Client{Name: q.Name}}, nil
}

func optional[T any](v *T) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

func (f *fakeInventory) DeleteClient(_ context.Context, q *pb.DeleteClientRequest) (*pb.DeleteClientResponse, error) {
	f.master.called("DeleteClient %s", q.Name)
	return &pb.DeleteClientResponse{}, nil
}

// Apply tells what it was given; what becomes of a document is its whole content, a word a change.
func (f *fakeInventory) Apply(_ context.Context, q *pb.ApplyRequest) (*pb.ApplyResponse, error) {
	out := &pb.ApplyResponse{}
	var names []string
	for _, file := range q.Files {
		names = append(names, file.Name)
		for _, action := range strings.Fields(string(file.Content)) {
			c := &pb.InventoryChange{Kind: "Site", Name: action + ".example", Action: action}
			switch action {
			case "bad":
				return nil, errs.New(errs.Usage, "mend the lines that it names", "%s:1: there is no field \"bad\"", file.Name)
			case "changed":
				c.Fields = []*pb.InventoryField{{Path: "client", Before: "a", After: "b"}, {Path: "root", After: "/x"}, {Path: "vhost", Before: "evil\x1b"}}
			case "waiting":
				c.Note = "let it join with a token of: sitekeep server token web7 --role web"
			}
			out.Changes = append(out.Changes, c)
		}
	}
	f.master.called("Apply %v dry=%v prune=%v", names, q.DryRun, q.Prune)
	return out, nil
}

func (f *fakeInventory) Export(context.Context, *pb.ExportRequest) (*pb.ExportResponse, error) {
	return &pb.ExportResponse{Content: []byte("apiVersion: sitekeep/v1\n")}, nil
}

func (m *fakeMaster) UpdateSite(_ context.Context, q *pb.UpdateSiteRequest) (*pb.UpdateSiteResponse, error) {
	paths := map[string]bool{}
	for _, p := range q.UpdateMask.Paths {
		paths[p] = true
	}
	m.called("UpdateSite %s %v aliases=%d blank=%v structure_only=%v all_rows=%v", q.Site.Name, paths, len(q.Site.Aliases), q.Site.BlankCredentials,
		q.Site.StructureOnly, q.Site.AllRows)
	out := &pb.UpdateSiteResponse{Site: q.Site}
	if strings.HasPrefix(q.Site.Name, "warn.") {
		out.Warnings = []string{"settings could not be read"}
	}
	return out, nil
}
