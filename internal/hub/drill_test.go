package hub

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// drilled is what a request for drills came to, as told says it.
func drilled(r *sitekeepv1.DrillSitesResponse) string {
	out := &sitekeepv1.CreateBackupsResponse{Tasks: r.GetTasks()}
	for _, no := range r.GetRefused() {
		out.Refused = append(out.Refused, &sitekeepv1.RefusedBackup{Site: no.Site, ErrorKind: no.ErrorKind})
	}
	return told(out)
}

func TestDrillSites(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "a.example", "acme")
	r.addSite(t, "b.example", "")
	r.addSite(t, "none.example", "acme")
	for _, site := range []string{"a.example", "b.example"} {
		must(t, r.hub.Catalogue.InsertBackup(t.Context(), model.Backup{ID: site + "-1", Site: site, Format: "tar.zst", CreatedAt: time.Unix(1e9, 0)}))
	}
	admin := sitekeepv1.NewRestoreServiceClient(r.local(t))
	for _, c := range []struct {
		q    *sitekeepv1.DrillSitesRequest
		want string
	}{
		{&sitekeepv1.DrillSitesRequest{All: true, Queue: true}, "[a.example b.example] [none.example not_found] []"},
		{&sitekeepv1.DrillSitesRequest{Client: "acme", Queue: true}, "[a.example] [none.example not_found] []"},
		{&sitekeepv1.DrillSitesRequest{Names: []string{"b*"}}, "[] [b.example busy] []"},
		{&sitekeepv1.DrillSitesRequest{Names: []string{"a.example"}, Backup: "latest", Queue: true}, "[a.example] [] []"},
	} {
		got, err := admin.DrillSites(t.Context(), c.q)
		if err != nil || drilled(got) != c.want {
			t.Errorf("%v: %s, %v; want %s", c.q, drilled(got), err, c.want)
		}
	}
	list, _, err := r.hub.Catalogue.Tasks(t.Context(), catalogue.TaskFilter{Site: "a.example"})
	must(t, err)
	var spec restore.DrillSpec
	must(t, json.Unmarshal(list[0].Spec, &spec))
	if len(list) != 2 || list[0].Kind != model.TaskDrill || spec.Backup != "a.example-1" {
		t.Errorf("%+v, %+v", list, spec)
	}
	for want, q := range map[codes.Code]*sitekeepv1.DrillSitesRequest{
		codes.InvalidArgument: {All: true, Backup: "a.example-1"},
		codes.NotFound:        {Names: []string{"a.example"}, Backup: "gone"},
	} {
		if _, err := admin.DrillSites(t.Context(), q); status.Code(err) != want {
			t.Errorf("%v: %v", q, err)
		}
	}
	acme := withToken(t.Context(), r.token(t, catalogue.APIOperator, "acme"))
	remote := sitekeepv1.NewRestoreServiceClient(r.dial(t, r.pinned()))
	if got, err := remote.DrillSites(acme, &sitekeepv1.DrillSitesRequest{Names: []string{"b.example"}}); err != nil || drilled(got) != "[] [b.example not_found] []" {
		t.Errorf("another client's site: %s, %v", drilled(got), err)
	}
	if _, err := remote.DrillSites(withToken(t.Context(), r.token(t, catalogue.APIViewer, "")), &sitekeepv1.DrillSitesRequest{All: true}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a viewer: %v", err)
	}
}

func TestASiteTellsOfItsLastDrill(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "a.example", "")
	c := sitekeepv1.NewSiteServiceClient(r.local(t))
	shown := func() []*sitekeepv1.SiteDrill {
		t.Helper()
		one, err := c.GetSite(t.Context(), &sitekeepv1.GetSiteRequest{Name: "a.example"})
		must(t, err)
		all, err := c.ListSites(t.Context(), &sitekeepv1.ListSitesRequest{})
		must(t, err)
		fare, err := c.ListOverview(t.Context(), &sitekeepv1.ListOverviewRequest{})
		must(t, err)
		return []*sitekeepv1.SiteDrill{one.Site.LastDrill, all.Sites[0].LastDrill, fare.Sites[0].LastDrill}
	}
	for _, d := range shown() {
		if d != nil {
			t.Errorf("a drill that never was: %v", d)
		}
	}
	must(t, r.hub.Catalogue.RecordDrill(t.Context(), model.Drill{Site: "a.example", Backup: "b", At: time.Unix(1e9, 0), TaskID: "T", Problem: "a row is missing"}))
	for i, d := range shown() {
		if d.GetBackup() != "b" || d.GetPassed() || d.GetProblem() != "a row is missing" || d.GetTask() != "T" || d.GetAt().GetSeconds() != 1e9 {
			t.Errorf("%d: %v", i, d)
		}
	}
}
