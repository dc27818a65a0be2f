package hub

import (
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func planToProto(p *restore.Preview) *sitekeepv1.PlanRestoreResponse {
	out := &sitekeepv1.PlanRestoreResponse{
		Backup: p.Backup, NewDatabase: p.NewDatabase, Warnings: p.Warnings, ExpectedDowntimeMs: p.Downtime.Downtime.Milliseconds(), DowntimeBasis: p.Downtime.Basis,
	}
	for _, step := range p.Steps {
		out.Steps = append(out.Steps, &sitekeepv1.PlanStep{
			Name: step.Name, Servers: step.Servers, Description: step.Description, Undo: step.Undo, Downtime: step.Downtime,
		})
	}
	for _, r := range p.Room {
		out.Room = append(out.Room, &sitekeepv1.PlanRoom{
			Server: r.Server, Place: r.Place, NeededBytes: r.NeededBytes, FreeBytes: r.FreeBytes,
			NeededInodes: r.NeededInodes, FreeInodes: r.FreeInodes,
		})
	}
	for _, f := range p.Files {
		out.Files = append(out.Files, &sitekeepv1.PlanFiles{
			Server: f.Server, Added: differenceToProto(f.Added), Changed: differenceToProto(f.Changed), Removed: differenceToProto(f.Removed),
		})
	}
	for _, t := range p.Tables {
		out.Tables = append(out.Tables, &sitekeepv1.PlanTable{Name: t.Name, Change: string(t.Change), Rows: t.Rows, LiveRows: t.LiveRows})
	}
	return out
}

func differenceToProto(d model.TreeDifference) *sitekeepv1.PlanDifference {
	return &sitekeepv1.PlanDifference{Entries: d.Entries, Bytes: d.Bytes, Paths: d.Paths}
}
