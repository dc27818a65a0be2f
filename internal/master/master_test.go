package master

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inited is a data directory whose master listens on free ports.
func inited(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, Init(dir, NewConfig("master.example.com", "127.0.0.1:0", ""), time.Now()))
	return dir
}

func options(dir string) Options {
	return Options{DataDir: dir, Version: "test", Log: hclog.NewNullLogger(), Now: time.Now}
}

func opened(t *testing.T, o Options) *Master {
	t.Helper()
	m, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	return m
}

func TestInitTwice(t *testing.T) {
	dir := inited(t)
	files, err := os.ReadDir(filepath.Join(dir, caDir))
	must(t, err)
	before, err := os.ReadFile(filepath.Join(dir, caDir, files[0].Name()))
	must(t, err)
	if err := Init(dir, NewConfig("other", ":7440", ""), time.Now()); !errs.Is(err, errs.Exists) || errs.HintOf(err) == "" {
		t.Errorf("a second time: %v", err)
	}
	// One that was interrupted before its last file goes on with the authority that it has made.
	must(t, os.Remove(filepath.Join(dir, configName)))
	must(t, Init(dir, NewConfig("master.example.com", "127.0.0.1:0", ""), time.Now()))
	entries, err := os.ReadDir(filepath.Join(dir, caDir))
	must(t, err)
	after, err := os.ReadFile(filepath.Join(dir, caDir, entries[0].Name()))
	must(t, err)
	if len(entries) != 1 || string(after) != string(before) {
		t.Error("the certificate authority was made anew")
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory has mode %v", info.Mode())
	}
}

func TestInitDoesNotReplaceAnAuthorityThatCannotBeRead(t *testing.T) {
	dir := inited(t)
	must(t, os.Remove(filepath.Join(dir, configName)))
	entries, err := os.ReadDir(filepath.Join(dir, caDir))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, caDir, entries[0].Name()), []byte("damaged"), 0o600))
	if err := Init(dir, NewConfig("master.example.com", "127.0.0.1:0", ""), time.Now()); err == nil {
		t.Error("it was replaced")
	}
	if text, _ := os.ReadFile(filepath.Join(dir, caDir, entries[0].Name())); string(text) != "damaged" {
		t.Errorf("it is now %.20q", text)
	}
}

func TestConfiguration(t *testing.T) {
	dir := inited(t)
	for text, want := range map[string]string{
		"name: m\nlisten: :7440\nlimts: {total: 2}\n":        "line 3",
		"name: m\nlimits:\n  total: many\n":                  "line 3",
		"name: m\nname: n\n":                                 "line 2",
		"name: m\n\tlisten: x\n":                             "line 2",
		"listen: :7440\n":                                    "name:",
		"name: m\nlisten: nowhere\n":                         "listen:",
		"name: m\nhttp: nowhere\n":                           "http:",
		"name: m\nlimits: {total: 0, per_agent: 1}\n":        "limits:",
		"name: m\nkeep_task_logs: a while\n":                 "line 2",
		"name: m\nlimits: {per_database_server: 0}\n":        "limits:",
		"name: m\nlimits: {retry_for: -1m}\n":                "retry_for",
		"name: m\nlisten: :7440\nhttp: :7440\n":              "http and listen",
		"name: m\nniceness: 20\n":                            "niceness",
		"name: m\nlimits: {wait_for_agents: -1m}\n":          "wait_for_agents",
		"name: m\nfull_every: -1\n":                          "full_every",
		"name: m\nbandwidth: {default: fast}\n":              "line 2",
		"name: m\nbandwidth: {default: -1}\n":                "line 2",
		"name: m\nbandwidth: {default: 100B}\n":              "line 2",
		"name: m\nbandwidth: {default: 9000000000GiB}\n":     "line 2",
		"name: m\nlisten: 127.0.0.1:0\n---\nname: another\n": "",
	} {
		must(t, os.WriteFile(filepath.Join(dir, configName), []byte(text), 0o600))
		_, err := Load(dir)
		if want == "" {
			must(t, err)
			continue
		}
		if !errs.Is(err, errs.Usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), configName) || errs.HintOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, configName), []byte("name: m\n"), 0o600))
	c, err := Load(dir)
	if err != nil || c.Listen != DefaultListen || c.Limits.Total != 8 || c.KeepLogs != 90*24*time.Hour {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	if _, err := Load(t.TempDir()); !errs.Is(err, errs.NotFound) || !strings.Contains(errs.HintOf(err), "sitekeep init") {
		t.Errorf("no master's directory: %v", err)
	}
}

func TestWhereAgentsFindTheMaster(t *testing.T) {
	for listen, want := range map[string]string{
		":7440": "m.example:7440", "0.0.0.0:7441": "m.example:7441", "[::]:7440": "m.example:7440",
		"10.0.0.1:7440": "10.0.0.1:7440 m.example:7440", "m.example:7440": "m.example:7440",
	} {
		c := NewConfig("m.example", listen, "")
		if got := strings.Join(c.addresses(), " "); got != want {
			t.Errorf("%s: %s", listen, got)
		}
	}
}

func TestTwoMastersOnOneDirectory(t *testing.T) {
	dir := inited(t)
	opened(t, options(dir))
	if _, err := Open(t.Context(), options(dir)); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Errorf("the second one: %v", err)
	}
}

// TestOpenFreesEverythingWhenItFails: another one can open the directory then.
func TestOpenFreesEverythingWhenItFails(t *testing.T) {
	dir := inited(t)
	ca := filepath.Join(dir, caDir)
	must(t, os.Rename(ca, ca+".away"))
	if _, err := Open(t.Context(), options(dir)); err == nil {
		t.Fatal("it opened without a certificate authority")
	}
	must(t, os.Rename(ca+".away", ca))
	opened(t, options(dir))
}

// running serves a master until the test, or stop, ends it.
func running(t *testing.T, m *Master) (stop func()) {
	t.Helper()
	ready := make(chan struct{})
	m.o.Ready = func() { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("it does not run: %v", err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			must(t, <-done)
		}
	}
	t.Cleanup(stop)
	return stop
}

func caller(t *testing.T, dir string) sitekeepv1.AccessServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+filepath.Join(dir, SocketName), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return sitekeepv1.NewAccessServiceClient(conn)
}

// TestStartAfterACrash: what an earlier master has left is removed, taken up, or told of, and the socket is ours.
func TestStartAfterACrash(t *testing.T) {
	dir := inited(t)
	m, err := Open(t.Context(), options(dir))
	must(t, err)
	site := model.Site{Name: "example.com", Kind: "generic", WebServers: []string{"web1"}, Root: "/var/www/x", Docroot: "/var/www/x", Vhost: model.VhostManaged, CreatedAt: time.Now()}
	must(t, m.catalogue.CreateServer(t.Context(), model.Server{Name: "web1", Roles: []model.Role{model.RoleWeb}, JoinedAt: time.Now()}))
	must(t, m.catalogue.CreateSite(t.Context(), site))
	pending, err := m.store.Create(t.Context(), "example.com-20261123.001336", store.TarZst, 0)
	must(t, err)
	_, err = pending.File().WriteString("half a tarball")
	must(t, err)
	_, err = m.catalogue.AddTask(t.Context(), model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QZ", Kind: model.TaskRestore, Site: "example.com",
		State: model.TaskQueued, Spec: []byte(`{"Site":"example.com","Backup":"example.com-20200101.000000"}`), CreatedAt: time.Now()}, true, false)
	must(t, err)
	_, err = m.catalogue.MoveTask(t.Context(), model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QZ", State: model.TaskRunning, Attempt: 1}, model.TaskQueued)
	must(t, err)
	must(t, m.Close()) // without Abort: as a kill leaves it
	stale, err := net.Listen("unix", filepath.Join(dir, SocketName))
	must(t, err)
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, stale.Close())

	m = opened(t, options(dir))
	running(t, m)
	if _, err := m.store.Open(t.Context(), "example.com-20261123.001336", store.TarZst); !errs.Is(err, errs.NotFound) {
		t.Errorf("half a tarball: %v", err)
	}
	var left []string
	must(t, filepath.WalkDir(filepath.Join(dir, storeDir), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	}))
	if len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
	if who, err := caller(t, dir).GetCaller(t.Context(), &sitekeepv1.GetCallerRequest{}); err != nil || who.Role != "admin" {
		t.Errorf("through the socket: %v, %v", who, err)
	}
	task, err := m.tasks.Wait(t.Context(), "01KACQ4J7XK0VJ7N3YH2M3T5QZ")
	if err != nil || task.State != model.TaskFailed || task.Error == "" {
		t.Errorf("the restore that was interrupted before its journal began: %+v, %v", task, err)
	}
}

// TestStopAndStart: a master that is told to end ends, and frees its addresses.
func TestStopAndStart(t *testing.T) {
	dir := inited(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	must(t, os.WriteFile(filepath.Join(dir, configName), []byte("name: m\nlisten: 127.0.0.1:0\nhttp: "+address+"\n"), 0o600))
	for range 2 {
		m, err := Open(t.Context(), options(dir))
		must(t, err)
		stop := running(t, m)
		reply, err := http.Get("http://" + address + "/healthz")
		must(t, err)
		must(t, reply.Body.Close())
		if reply.StatusCode != http.StatusOK {
			t.Errorf("health: %s", reply.Status)
		}
		stop()
		must(t, m.Close())
	}
}

// TestCleaningUpFallsDue: one site that cannot be cleaned up keeps none of the others waiting, one that broke off is
// begun again after a while, and what is not due is left alone.
func TestCleaningUpFallsDue(t *testing.T) {
	dir := inited(t)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	o := options(dir)
	o.Now = func() time.Time { return now }
	m := opened(t, o)
	must(t, m.catalogue.CreateServer(t.Context(), model.Server{Name: "web1", Roles: []model.Role{model.RoleWeb}, JoinedAt: now}))
	for i, name := range []string{"a.example", "b.example", "c.example", "d.example"} {
		must(t, m.catalogue.CreateSite(t.Context(), model.Site{Name: name, Kind: "generic", WebServers: []string{"web1"}, Root: "/var/www/" + name, Docroot: "/var/www/" + name, Vhost: model.VhostManaged, CreatedAt: now}))
		due := now.Add(-time.Hour)
		if name == "d.example" {
			due = now.Add(24 * time.Hour)
		}
		id := "01KACQ4J7XK0VJ7N3YH2M3T5Q" + string(rune('A'+i))
		must(t, m.catalogue.CommitRestore(t.Context(), catalogue.RestoreCommit{TaskID: id, Site: name, Record: []byte("{}"),
			Grace: &catalogue.Grace{TaskID: id, Site: name, Due: due, State: catalogue.GraceWaiting}}))
	}
	_, err := m.catalogue.MoveGrace(t.Context(), "01KACQ4J7XK0VJ7N3YH2M3T5QA", catalogue.GraceWaiting, catalogue.GraceEnding)
	must(t, err)
	_, err = m.catalogue.AddTask(t.Context(), model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QX", Kind: model.TaskRestore, Site: "c.example", State: model.TaskQueued, CreatedAt: now}, false, false)
	must(t, err)
	_, err = m.catalogue.MoveTask(t.Context(), model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QX", State: model.TaskNeedsOperator}, model.TaskQueued)
	must(t, err)

	submitted := map[string]time.Time{}
	finishes := func(site string) int {
		list, _, err := m.catalogue.Tasks(t.Context(), catalogue.TaskFilter{Site: site})
		must(t, err)
		n := 0
		for _, task := range list {
			if task.Kind == model.TaskFinish {
				n++
			}
		}
		return n
	}
	for round, want := range []map[string]int{{"a.example": 1, "b.example": 1}, {"a.example": 1, "b.example": 1}, {"a.example": 2, "b.example": 2}} {
		if round == 2 {
			now = now.Add(finishAgain)
		}
		err := m.finishDue(t.Context(), submitted)
		if round != 1 && !errs.Is(err, errs.Precondition) {
			t.Errorf("round %d: %v", round, err)
		}
		for _, site := range []string{"a.example", "b.example", "c.example", "d.example"} {
			if got := finishes(site); got != want[site] {
				t.Errorf("round %d: %d tasks for %s", round, got, site)
			}
		}
	}
}
