package hub

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func TestMigrateSite(t *testing.T) {
	r := newRig(t)
	c := sitekeepv1.NewRestoreServiceClient(r.local(t))
	r.addSite(t, "example.com", "")
	for name, role := range map[string]model.Role{"web2": model.RoleWeb, "db9": model.RoleDB} {
		must(t, r.hub.Catalogue.CreateServer(t.Context(), model.Server{Name: name, Roles: []model.Role{role}, JoinedAt: time.Now()}))
	}
	must(t, r.hub.Catalogue.CreateSite(t.Context(), model.Site{Name: "near.example", Kind: "generic", WebServers: []string{"web2"}, Root: "/srv/near",
		Docroot: "/srv/near", Vhost: model.VhostManaged, CreatedAt: time.Now()}))
	for what, bad := range map[string]struct {
		q    *sitekeepv1.MigrateSiteRequest
		want errs.Kind
	}{
		"an unknown site":            {&sitekeepv1.MigrateSiteRequest{Site: "missing.example", WebServers: []string{"web2"}}, errs.NotFound},
		"nothing":                    {&sitekeepv1.MigrateSiteRequest{Site: "example.com"}, errs.Usage},
		"where it is":                {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web1"}}, errs.Usage},
		"a directory alone":          {&sitekeepv1.MigrateSiteRequest{Site: "example.com", Root: "/srv/far"}, errs.Usage},
		"an unknown server":          {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web7"}}, errs.NotFound},
		"no web server":              {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"db9"}}, errs.Usage},
		"another's place":            {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web2"}, Root: "/srv/near/sub"}, errs.Exists},
		"too long a grace":           {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web2"}, Grace: durationpb.New(91 * 24 * time.Hour)}, errs.Usage},
		"a negative grace":           {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web2"}, Grace: durationpb.New(-time.Hour)}, errs.Usage},
		"a database for one without": {&sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web2"}, DbServer: "db9"}, errs.Usage},
	} {
		if _, err := c.MigrateSite(t.Context(), bad.q); !errs.Is(err, bad.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	reply, err := c.MigrateSite(t.Context(), &sitekeepv1.MigrateSiteRequest{Site: "example.com", WebServers: []string{"web2"}, Root: "/srv/far", Queue: true})
	must(t, err)
	task, err := r.hub.Catalogue.Task(t.Context(), reply.Task.Id)
	must(t, err)
	var got restore.Request
	must(t, json.Unmarshal(task.Spec, &got))
	if task.Kind != model.TaskMigrate || got.Site != "example.com" || got.Grace != restore.DefaultGrace || got.Migrate == nil || got.Migrate.Root != "/srv/far" {
		t.Errorf("the task is %s of %+v", task.Kind, got)
	}
}
