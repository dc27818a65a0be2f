package main

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func (m *fakeMaster) DrillSites(ctx context.Context, r *pb.DrillSitesRequest) (*pb.DrillSitesResponse, error) {
	m.called("DrillSites all=%v client=%s names=%v backup=%s queue=%v", r.All, r.Client, r.Names, r.Backup, r.Queue)
	names, out := r.Names, &pb.DrillSitesResponse{}
	for _, s := range m.sites {
		if len(r.Names) == 0 && (r.Client == "" || r.Client == s.Client) {
			names = append(names, s.Name)
		}
	}
	for _, name := range names {
		t, err := m.start("drill", name, r.Queue)
		if err != nil {
			out.Refused = append(out.Refused, &pb.RefusedDrill{Site: name, Error: err.Error(), ErrorKind: errs.KindOf(err).String(), Hint: errs.HintOf(err)})
			continue
		}
		m.mu.Lock()
		m.tasks[len(m.tasks)-1].task.Backup = name + "-20261123.001336"
		m.mu.Unlock()
		out.Tasks = append(out.Tasks, t)
	}
	return out, nil
}
