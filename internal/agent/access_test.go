package agent_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// call is one way to name a site.
type call struct {
	name string
	task bool // it must name a task
	do   func(ctx context.Context, r *rig, site *agentv1.SiteRef, task string) error
}

// siteCalls are all calls that name a site.
func siteCalls() []call {
	lease := durationpb.New(time.Minute)
	return []call{
		{"RunHooks", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.runHooks(ctx, s, task, "before-backup")
			return err
		}},
		{"InspectTree", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.tree.InspectTree(ctx, &agentv1.InspectTreeRequest{Site: s, Task: task})
			return err
		}},
		{"ReadTree", false, func(_ context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.read(&agentv1.ReadTreeHeader{Site: s, Format: "tar.zst"})
			return err
		}},
		{"WriteTree", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			stream, err := r.tree.WriteTree(ctx)
			if err != nil {
				return err
			}
			header := &agentv1.WriteTreeHeader{Site: s, Task: task, Format: "tar.zst"}
			err = stream.Send(&agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_Header{Header: header}})
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		}},
		{"WriteDelta", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			stream, err := r.tree.WriteDelta(ctx)
			if err != nil {
				return err
			}
			header := &agentv1.WriteDeltaHeader{Site: s, Task: task, Format: "tar.zst"}
			err = stream.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Header{Header: header}})
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.Recv()
			return err
		}},
		{"CompareTree", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			stream, err := r.tree.CompareTree(ctx)
			if err != nil {
				return err
			}
			header := &agentv1.CompareTreeHeader{Site: s}
			err = stream.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_Header{Header: header}})
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		}},
		{"ExchangeTree", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.tree.ExchangeTree(ctx, &agentv1.ExchangeTreeRequest{Site: s, Task: task, LiveInode: 1, StagedInode: 2})
			return err
		}},
		{"InspectPaths", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.tree.InspectPaths(ctx, &agentv1.InspectPathsRequest{Site: s, Task: task, Paths: [][]byte{[]byte("./a")}})
			return err
		}},
		{"ExchangePaths", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.tree.ExchangePaths(ctx, &agentv1.ExchangePathsRequest{Site: s, Task: task, Paths: []*agentv1.PathState{{Path: []byte("./a"), LiveInode: 1, StagedInode: 2}}})
			return err
		}},
		{"RemoveStaging", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.tree.RemoveStaging(ctx, &agentv1.RemoveStagingRequest{Site: s, Task: task})
			return err
		}},
		{"DetectSite", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.settings.DetectSite(ctx, &agentv1.DetectSiteRequest{Site: s})
			return err
		}},
		{"ReadSettings", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.settings.ReadSettings(ctx, &agentv1.ReadSettingsRequest{Site: s, Task: task})
			return err
		}},
		{"WriteSettings", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.settings.WriteSettings(ctx, &agentv1.WriteSettingsRequest{Site: s, Task: task,
				Settings: &agentv1.DatabaseSettings{Host: "h", Name: "n", User: "u"}, Password: "p"})
			return err
		}},
		{"RewriteSettings", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.settings.RewriteSettings(ctx, &agentv1.RewriteSettingsRequest{Site: s, Task: task, Move: someMove()})
			return err
		}},
		{"CompareVhost", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.vhost.CompareVhost(ctx, &agentv1.CompareVhostRequest{Site: s})
			return err
		}},
		{"InspectVhost", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.vhost.InspectVhost(ctx, &agentv1.InspectVhostRequest{Site: s})
			return err
		}},
		{"CarrySettings", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.settings.CarrySettings(ctx, &agentv1.CarrySettingsRequest{Site: s, Task: task})
			return err
		}},
		{"SwitchSettings", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.settings.SwitchSettings(ctx, &agentv1.SwitchSettingsRequest{Site: s, Task: task,
				Settings: &agentv1.DatabaseSettings{Host: "h", Name: "n", User: "u"}, Password: "p"})
			return err
		}},
		{"RevertSettings", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.settings.RevertSettings(ctx, &agentv1.RevertSettingsRequest{Site: s, Task: task})
			return err
		}},
		{"ProbeDatabase", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.settings.ProbeDatabase(ctx, &agentv1.ProbeDatabaseRequest{Site: s})
			return err
		}},
		{"CheckPermissions", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.settings.CheckPermissions(ctx, &agentv1.CheckPermissionsRequest{Site: s, Mend: true})
			return err
		}},
		{"WriteVhost", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.WriteVhost(ctx, &agentv1.WriteVhostRequest{Site: s, Task: task})
			return err
		}},
		{"RevertVhost", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.RevertVhost(ctx, &agentv1.RevertVhostRequest{Site: s, Task: task})
			return err
		}},
		{"ForgetVhost", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.ForgetVhost(ctx, &agentv1.ForgetVhostRequest{Site: s, Task: task})
			return err
		}},
		{"RemoveVhost", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, _ string) error {
			_, err := r.vhost.RemoveVhost(ctx, &agentv1.RemoveVhostRequest{Site: s})
			return err
		}},
		{"BeginMaintenance", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.BeginMaintenance(ctx, &agentv1.BeginMaintenanceRequest{Site: s, Task: task, Lease: lease})
			return err
		}},
		{"RenewMaintenance", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.RenewMaintenance(ctx, &agentv1.RenewMaintenanceRequest{Site: s, Task: task, Lease: lease})
			return err
		}},
		{"EndMaintenance", true, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.EndMaintenance(ctx, &agentv1.EndMaintenanceRequest{Site: s, Task: task})
			return err
		}},
		{"ProbeSite", false, func(ctx context.Context, r *rig, s *agentv1.SiteRef, task string) error {
			_, err := r.vhost.ProbeSite(ctx, &agentv1.ProbeSiteRequest{Site: s, Task: task})
			return err
		}},
	}
}

// TestEveryCallNamingASiteIsListed counts the calls in the API, so that a new one cannot be forgotten in this table.
func TestEveryCallNamingASiteIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range siteCalls() {
		listed[c.name] = true
	}
	for _, name := range methods() {
		if !listed[name] && name != "ObserveAddress" && name != "Reload" {
			t.Errorf("%s is not in the table of calls", name)
		}
	}
}

func methods() []string {
	var names []string
	for _, m := range agentv1.TreeService_ServiceDesc.Methods {
		names = append(names, m.MethodName)
	}
	for _, s := range agentv1.TreeService_ServiceDesc.Streams {
		names = append(names, s.StreamName)
	}
	for _, s := range agentv1.HookService_ServiceDesc.Streams {
		names = append(names, s.StreamName)
	}
	for _, m := range append(agentv1.SettingsService_ServiceDesc.Methods, agentv1.VhostService_ServiceDesc.Methods...) {
		names = append(names, m.MethodName)
	}
	return names
}

func TestNoCallLeavesTheAllowedDirectories(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	secret := t.TempDir()
	if err := errors.Join(os.Mkdir(secret+"/site", 0o755), os.Symlink(secret, r.www+"/out")); err != nil {
		t.Fatal(err)
	}
	bad := map[string]*agentv1.SiteRef{
		"elsewhere":           {Name: "example.com", Kind: "generic", Root: "/etc/ssh"},
		"the allowed itself":  {Name: "example.com", Kind: "generic", Root: r.www},
		"dot dot":             {Name: "example.com", Kind: "generic", Root: r.www + "/../secret"},
		"same prefix":         {Name: "example.com", Kind: "generic", Root: r.www + "2/site"},
		"docroot elsewhere":   {Name: "example.com", Kind: "generic", Root: r.www + "/x", Docroot: "/etc"},
		"docroot over a link": {Name: "example.com", Kind: "generic", Root: r.www + "/x", Docroot: r.www + "/out/site"},
		"over a link":         {Name: "example.com", Kind: "generic", Root: r.www + "/out/site"},
	}
	before := fingerprint(t, secret) + fingerprint(t, r.www+"/x")
	for _, c := range siteCalls() {
		for name, site := range bad {
			if err := c.do(r.ctx(), r, site, task); !errs.Is(err, errs.Permission) || errs.HintOf(err) == "" {
				t.Errorf("%s, %s: error = %v (kind %v, hint %q)", c.name, name, err, errs.KindOf(err), errs.HintOf(err))
			}
		}
		if err := c.do(r.ctx(), r, nil, task); !errs.Is(err, errs.Usage) {
			t.Errorf("%s without a site: error = %v", c.name, err)
		}
		for _, token := range []string{"../x", "a/b", ""} {
			if !c.task {
				continue
			}
			if err := c.do(r.ctx(), r, r.ref("x"), token); !errs.Is(err, errs.Usage) {
				t.Errorf("%s, task %q: error = %v", c.name, token, err)
			}
		}
	}
	if after := fingerprint(t, secret) + fingerprint(t, r.www+"/x"); after != before {
		t.Error("something was changed")
	}
	if left := r.staging(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// databaseCalls are all calls that name a database.
func databaseCalls() map[string]func(ctx context.Context, r *rig, name string) error {
	return map[string]func(ctx context.Context, r *rig, name string) error{
		"RewriteTables": func(ctx context.Context, r *rig, name string) error {
			_, err := r.database.RewriteTables(ctx, &agentv1.RewriteTablesRequest{Name: name, User: "u", Password: "p", Move: someMove()})
			return err
		},
		"InspectDatabase": func(ctx context.Context, r *rig, name string) error {
			_, err := r.database.InspectDatabase(ctx, &agentv1.InspectDatabaseRequest{Name: name})
			return err
		},
		"Dump": func(ctx context.Context, r *rig, name string) error {
			stream, err := r.database.Dump(ctx)
			if err != nil {
				return err
			}
			header := &agentv1.DumpHeader{Name: name, Format: "tar.zst"}
			if err := stream.Send(&agentv1.DumpRequest{Message: &agentv1.DumpRequest_Header{Header: header}}); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.Recv()
			return err
		},
		"CreateDatabase": func(ctx context.Context, r *rig, name string) error {
			_, err := r.database.CreateDatabase(ctx, &agentv1.CreateDatabaseRequest{Name: name, User: "site_u", Password: "p", Hosts: []string{"h"}})
			return err
		},
		"Import": func(ctx context.Context, r *rig, name string) error {
			stream, err := r.database.Import(ctx)
			if err != nil {
				return err
			}
			header := &agentv1.ImportHeader{Name: name, Format: "tar.zst", User: "site_u", Password: "p"}
			if err := stream.Send(&agentv1.ImportRequest{Message: &agentv1.ImportRequest_Header{Header: header}}); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = stream.CloseAndRecv()
			return err
		},
		"DropDatabase": func(ctx context.Context, r *rig, name string) error {
			_, err := r.database.DropDatabase(ctx, &agentv1.DropDatabaseRequest{Name: name, User: "site_u"})
			return err
		},
		"DropDatabase, accounts alone": func(ctx context.Context, r *rig, name string) error {
			_, err := r.database.DropDatabase(ctx, &agentv1.DropDatabaseRequest{User: name})
			return err
		},
	}
}

func TestNoCallLeavesTheAllowedDatabases(t *testing.T) {
	r := newRig(t)
	for name, do := range databaseCalls() {
		for database, want := range map[string]errs.Kind{
			"mysql": errs.Permission, "information_schema": errs.Permission, "other": errs.Permission, "xsite_1": errs.Permission, "": errs.Usage,
			"site_1": errs.Precondition, // allowed, and agent.yaml has no database server
		} {
			if database == "" && name == "DropDatabase" {
				continue // then it is about accounts alone
			}
			if err := do(r.ctx(), r, database); !errs.Is(err, want) || errs.HintOf(err) == "" {
				t.Errorf("%s of %q: error = %v (kind %v, hint %q), want kind %v", name, database, err, errs.KindOf(err), errs.HintOf(err), want)
			}
		}
	}
}

func TestRolesAndSections(t *testing.T) {
	roles := func(list ...model.Role) func(*agent.Options) { return func(o *agent.Options) { o.Roles = list } }
	r := newRig(t, roles(model.RoleDB))
	for _, c := range siteCalls() {
		if err := c.do(r.ctx(), r, r.ref("x"), task); !errs.Is(err, errs.Permission) || !strings.Contains(err.Error(), "role web") {
			t.Errorf("%s without the role web: error = %v", c.name, err)
		}
	}
	r = newRig(t, roles(model.RoleWeb))
	for name, do := range databaseCalls() {
		if err := do(r.ctx(), r, "site_1"); !errs.Is(err, errs.Permission) || !strings.Contains(err.Error(), "role db") {
			t.Errorf("%s without the role db: error = %v", name, err)
		}
	}
	r = newRig(t, func(o *agent.Options) { o.Config.Webserver = nil })
	if _, err := r.vhost.Reload(r.ctx(), &agentv1.ReloadRequest{}); !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "agent.yaml") {
		t.Errorf("without a web server: error = %v", err)
	}
}

func TestObservedAddressesAreHostAndPort(t *testing.T) {
	r := newRig(t)
	for _, address := range []string{"", "/run/mysqld/mysqld.sock", "/run:3306", "db1", ":3306"} {
		_, err := r.settings.ObserveAddress(r.ctx(), &agentv1.ObserveAddressRequest{Address: address})
		if !errs.Is(err, errs.Usage) {
			t.Errorf("%q: error = %v", address, err)
		}
	}
	_, err := r.settings.ObserveAddress(r.ctx(), &agentv1.ObserveAddressRequest{Address: "127.0.0.1:1"})
	if !errs.Is(err, errs.Unreachable) {
		t.Errorf("nobody listens: error = %v (%v)", err, errs.KindOf(err))
	}
}
