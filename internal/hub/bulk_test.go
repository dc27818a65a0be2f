package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// told is what a bulk request came to: sites with tasks, refusals, what was left out.
func told(r *sitekeepv1.CreateBackupsResponse) string {
	var tasks, refused []string
	for _, t := range r.GetTasks() {
		tasks = append(tasks, t.Site)
	}
	for _, no := range r.GetRefused() {
		refused = append(refused, no.Site+" "+no.ErrorKind)
	}
	return fmt.Sprint(tasks, refused, r.GetDisabled())
}

func TestCreateBackups(t *testing.T) {
	r := newRig(t)
	for name, client := range map[string]string{"a.example.com": "acme", "b.example.com": "acme", "c.other": "", "off.example.com": "acme"} {
		r.addSite(t, name, client)
	}
	_, err := r.hub.Catalogue.UpdateSite(t.Context(), "off.example.com", func(s *model.Site) error { s.Disabled = true; return nil })
	must(t, err)
	admin := sitekeepv1.NewBackupServiceClient(r.local(t))
	remote := sitekeepv1.NewBackupServiceClient(r.dial(t, r.pinned()))
	acme := withToken(t.Context(), r.token(t, catalogue.APIOperator, "acme"))
	names := func(n ...string) *sitekeepv1.CreateBackupsRequest {
		return &sitekeepv1.CreateBackupsRequest{Names: n, Queue: true}
	}
	all := &sitekeepv1.CreateBackupsRequest{All: true, Queue: true}
	for _, c := range []struct {
		q    *sitekeepv1.CreateBackupsRequest
		want string
	}{
		{all, "[a.example.com b.example.com c.other] [] [off.example.com]"},
		{&sitekeepv1.CreateBackupsRequest{Client: "acme", Queue: true}, "[a.example.com b.example.com] [] [off.example.com]"},
		{names("*.example.com", "c.other", "a.example.com"), "[a.example.com b.example.com c.other] [] [off.example.com]"},
		{names("off.example.com", "*.example.com"), "[a.example.com b.example.com off.example.com] [] []"},
		{names("[ab].example.com", "none*", "missing"), "[a.example.com b.example.com] [none* not_found missing not_found] []"},
	} {
		got, err := admin.CreateBackups(t.Context(), c.q)
		if err != nil || told(got) != c.want {
			t.Errorf("%v: %s, %v; want %s", c.q, told(got), err, c.want)
		}
	}
	for _, c := range []struct {
		q    *sitekeepv1.CreateBackupsRequest
		want string
	}{
		{all, "[a.example.com b.example.com] [] [off.example.com]"},
		{names("c.other", "c*"), "[] [c.other not_found c* not_found] []"},
	} {
		if got, err := remote.CreateBackups(acme, c.q); err != nil || told(got) != c.want {
			t.Errorf("a client's %v: %s, %v; want %s", c.q, told(got), err, c.want)
		}
	}
	if _, err := remote.CreateBackups(acme, &sitekeepv1.CreateBackupsRequest{Client: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("another client's sites: %v", err)
	}
	for what, q := range map[string]*sitekeepv1.CreateBackupsRequest{"nothing": {}, "two ways": {All: true, Names: []string{"a"}}, "a format": {All: true, Format: "zip"}} {
		if _, err := admin.CreateBackups(t.Context(), q); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	entries, _, err := r.hub.Catalogue.Audit(t.Context(), 100, "")
	must(t, err)
	if !slices.ContainsFunc(entries, func(e catalogue.AuditEntry) bool {
		return strings.HasSuffix(e.Method, "/CreateBackups") && e.Subject == "all sites"
	}) {
		t.Errorf("the audit log: %v", entries)
	}
}

// TestABusySiteRefusesAlone: of several sites, the one that a task holds.
func TestABusySiteRefusesAlone(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "a.example", "")
	r.addSite(t, "b.example", "")
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	_, err := c.CreateBackup(t.Context(), &sitekeepv1.CreateBackupRequest{Site: "a.example", Description: "first"})
	must(t, err)
	got, err := c.CreateBackups(t.Context(), &sitekeepv1.CreateBackupsRequest{All: true})
	if err != nil || told(got) != "[b.example] [a.example busy] []" {
		t.Errorf("%s, %v", told(got), err)
	}
}

// TestWhoWaitsForABackup: only one that nobody waits for is patient with an agent that is away.
func TestWhoWaitsForABackup(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "a.example", "")
	r.addSite(t, "b.example", "")
	c := sitekeepv1.NewBackupServiceClient(r.local(t))
	for site, detached := range map[string]bool{"a.example": false, "b.example": true} {
		got, err := c.CreateBackup(t.Context(), &sitekeepv1.CreateBackupRequest{Site: site, Detached: detached})
		must(t, err)
		task, err := r.hub.Catalogue.Task(t.Context(), got.GetTask().GetId())
		must(t, err)
		var spec backup.Spec
		must(t, json.Unmarshal(task.Spec, &spec))
		if spec.Patient != detached {
			t.Errorf("detached %v: patient %v", detached, spec.Patient)
		}
	}
}

func TestWatchTasks(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "mine.example", "me")
	r.addSite(t, "theirs.example", "them")
	backups := sitekeepv1.NewBackupServiceClient(r.local(t))
	got, err := backups.CreateBackups(t.Context(), &sitekeepv1.CreateBackupsRequest{All: true})
	must(t, err)
	var ids []string
	for i, task := range got.Tasks {
		ids = append(ids, task.Id)
		for line := range mostAttention + 5 {
			_, err := r.hub.Catalogue.AppendLog(t.Context(), task.Id, r.hub.Now(), model.LevelInfo, "fine")
			must(t, err)
			_, err = r.hub.Catalogue.AppendLog(t.Context(), task.Id, r.hub.Now(), model.LevelWarn, fmt.Sprint(i, line))
			must(t, err)
		}
		_, err := r.hub.Tasks.Cancel(t.Context(), task.Id, "test")
		must(t, err)
	}
	ctx := withToken(t.Context(), r.token(t, catalogue.APIViewer, "me"))
	stream, err := sitekeepv1.NewTaskServiceClient(r.dial(t, r.pinned())).WatchTasks(ctx, &sitekeepv1.WatchTasksRequest{Ids: ids})
	must(t, err)
	event, err := stream.Recv()
	must(t, err)
	if event.Task.Site != "mine.example" || len(event.Attention) != mostAttention || event.Attention[0].Text != "0 0" || event.Attention[0].Level != "warning" {
		t.Errorf("%v", event)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after its own tasks: %v", err)
	}
}
