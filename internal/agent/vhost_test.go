package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

func (r *rig) flag() bool {
	_, err := os.Stat(r.vhosts + "/example.com.maintenance")
	return err == nil
}

func (r *rig) begin(lease time.Duration) {
	r.t.Helper()
	reply, err := r.vhost.BeginMaintenance(r.ctx(), &agentv1.BeginMaintenanceRequest{Site: r.ref("x"), Task: task, Lease: durationpb.New(lease)})
	if err != nil {
		r.t.Fatal(err)
	}
	if reply.GetWarning() == "" {
		r.t.Error("there is no vhost, and no warning of it")
	}
}

func TestMaintenance(t *testing.T) {
	r := newRig(t)
	renew := func(lease time.Duration) (*agentv1.RenewMaintenanceResponse, error) {
		return r.vhost.RenewMaintenance(r.ctx(), &agentv1.RenewMaintenanceRequest{Site: r.ref("x"), Task: task, Lease: durationpb.New(lease)})
	}
	if _, err := renew(time.Minute); !errs.Is(err, errs.NotFound) {
		t.Errorf("renewed what was not begun: %v", err)
	}
	r.begin(time.Minute)
	if !r.flag() {
		t.Fatal("there is no flag")
	}
	reply, err := renew(time.Hour)
	if left := reply.GetUntil().AsTime().Sub(r.now.Now()); err != nil || left < 59*time.Minute || left > time.Hour {
		t.Errorf("renewed for %v, %v", left, err)
	}
	if reply, err = renew(1 << 62); err != nil || reply.GetUntil().AsTime().Before(time.Now().AddDate(100, 0, 0)) {
		t.Errorf("a very long lease: %v, %v", reply, err)
	}
	for _, lease := range []time.Duration{0, -time.Second} {
		if _, err := renew(lease); !errs.Is(err, errs.Usage) {
			t.Errorf("lease %v: error = %v", lease, err)
		}
	}
	for range 2 {
		if _, err := r.vhost.EndMaintenance(r.ctx(), &agentv1.EndMaintenanceRequest{Site: r.ref("x"), Task: task}); err != nil {
			t.Error(err)
		}
	}
	if r.flag() {
		t.Error("the flag is still there")
	}
}

func TestSweepEndsLeases(t *testing.T) {
	r := newRig(t)
	r.begin(time.Minute)
	r.now.advance(2 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	begun := time.Now()
	wg.Go(func() { r.agent.Sweep(ctx) })
	eventually(t, "the lease that had run out at the start is ended", func() bool { return !r.flag() })
	if took := time.Since(begun); took > 1900*time.Millisecond {
		t.Errorf("a lease that had run out before the start was ended after %v only", took)
	}
	r.begin(time.Minute)
	time.Sleep(50 * time.Millisecond)
	if !r.flag() {
		t.Error("a lease that holds was ended")
	}
	r.now.advance(2 * time.Minute)
	eventually(t, "the lease is ended while the agent runs", func() bool { return !r.flag() })
	if _, err := r.vhost.RenewMaintenance(r.ctx(), &agentv1.RenewMaintenanceRequest{Site: r.ref("x"), Task: task, Lease: durationpb.New(time.Minute)}); !errs.Is(err, errs.NotFound) {
		t.Errorf("a lease that ran out was renewed: %v", err)
	}
}

// TestSweepLeavesALeaseThatIsHeld: after an exchange the master takes one that outlasts its absence, and only the
// journal ends the maintenance. That of a neighbour of which nothing was exchanged ends by itself.
func TestSweepLeavesALeaseThatIsHeld(t *testing.T) {
	r := newRig(t)
	r.begin(time.Minute)
	held := durationpb.New(30 * 24 * time.Hour)
	if _, err := r.vhost.RenewMaintenance(r.ctx(), &agentv1.RenewMaintenanceRequest{Site: r.ref("x"), Task: task, Lease: held}); err != nil {
		t.Fatal(err)
	}
	neighbour := &agentv1.SiteRef{Name: "neighbour.example", Kind: "generic", Root: r.www + "/y"}
	if _, err := r.vhost.BeginMaintenance(r.ctx(), &agentv1.BeginMaintenanceRequest{Site: neighbour, Task: task, Lease: durationpb.New(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	r.now.advance(7 * 24 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { r.agent.Sweep(ctx) })
	eventually(t, "the neighbour serves again", func() bool {
		_, err := os.Stat(r.vhosts + "/neighbour.example.maintenance")
		return err != nil
	})
	if !r.flag() {
		t.Error("the maintenance of an exchanged site has ended by itself")
	}
	if _, err := r.vhost.EndMaintenance(r.ctx(), &agentv1.EndMaintenanceRequest{Site: r.ref("x"), Task: task}); err != nil || r.flag() {
		t.Errorf("the master has come back: %v", err)
	}
}

func TestSweepWithoutAWebServerReturns(t *testing.T) {
	r := newRig(t, func(o *agent.Options) { o.Config.Webserver = nil })
	r.agent.Sweep(t.Context())
}

// TestVhostThatIsNotServedIsPutBack: nobody listens where the vhost should be served.
func TestVhostThatIsNotServedIsPutBack(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := r.vhost.WriteVhost(ctx, &agentv1.WriteVhostRequest{Site: r.ref("x"), Task: task})
	if err == nil {
		t.Error("it was reported as served")
	}
	eventually(t, "the vhost is gone", func() bool {
		files, err := os.ReadDir(r.vhosts)
		return err == nil && len(files) == 0
	})
}

func TestVhostWhoseTestFails(t *testing.T) {
	r := newRig(t, func(o *agent.Options) {
		o.Config.Webserver.TestCommand = []string{"sh", "-c", "echo broken line 7; exit 1"}
	})
	_, err := r.vhost.WriteVhost(r.ctx(), &agentv1.WriteVhostRequest{Site: r.ref("x"), Task: task})
	if !errs.Is(err, errs.Failed) || errs.HintOf(err) == "" || !strings.Contains(err.Error(), "broken line 7") {
		t.Errorf("error = %v (hint %q)", err, errs.HintOf(err))
	}
	if files, err := os.ReadDir(r.vhosts); err != nil || len(files) > 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

// TestVhostOfAnother: what somebody has written by hand stays, and a restore goes on with a warning.
func TestVhostOfAnother(t *testing.T) {
	r := newRig(t)
	path, text := filepath.Join(r.vhosts, "example.com.conf"), "server { server_name example.com; }\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	reply, err := r.vhost.WriteVhost(r.ctx(), &agentv1.WriteVhostRequest{Site: r.ref("x"), Task: task})
	if err != nil || reply.GetChanged() || !strings.Contains(reply.GetWarning(), "left as it is") {
		t.Errorf("reply %v, error %v", reply, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file is %q, %v", got, err)
	}
}

func TestInfo(t *testing.T) {
	r := newRig(t)
	info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if info.GetVersion() != "test" || len(info.GetRoles()) != 2 || info.GetRoots()[0].GetFreeBytes() == 0 || info.GetWebserver() != "nginx" || info.GetHostname() == "" {
		t.Errorf("info = %v", info)
	}
	if len(info.GetProblems()) != 1 || !strings.Contains(info.GetProblems()[0], "mysql") {
		t.Errorf("problems = %q; the one is that there is no section mysql", info.GetProblems())
	}
}

// Who asks briefly, as each backup does, has nothing looked at: testing a web server's configuration takes long with many
// sites.
func TestBriefInfoLooksAtNothing(t *testing.T) {
	tested := filepath.Join(t.TempDir(), "tested")
	r := newRig(t, func(o *agent.Options) { o.Config.Webserver.TestCommand = []string{"touch", tested} })
	info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{Brief: true})
	if err != nil {
		t.Fatal(err)
	}
	if info.GetVersion() != "test" || len(info.GetRoles()) != 2 || len(info.GetProblems()) != 0 || len(info.GetRoots()) != 0 {
		t.Errorf("info = %v", info)
	}
	if _, err := os.Stat(tested); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the web server's test was run: %v", err)
	}
	if _, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tested); err != nil {
		t.Errorf("asked in full, it was not: %v", err)
	}
}

func TestInfoListsEveryProblem(t *testing.T) {
	r := newRig(t, func(o *agent.Options) {
		o.Config.Allow = config.Allow{Roots: []string{"/nonexistent/www"}}
		o.Config.Webserver.VhostDir = "/nonexistent/vhosts"
		o.Config.Webserver.WebGroup = "no-such-group"
		o.Config.Webserver.TestCommand = []string{"false"}
		o.Config.MySQL = &config.MySQL{Host: "127.0.0.1", Port: 1, User: "root"}
	})
	info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(info.GetProblems(), "\n")
	for _, part := range []string{"/nonexistent/www", "/nonexistent/vhosts", "no-such-group", "configuration test", "allow.databases", "127.0.0.1:1"} {
		if !strings.Contains(all, part) {
			t.Errorf("no problem says %q:\n%s", part, all)
		}
	}
}

func TestDatabaseAddress(t *testing.T) {
	for want, m := range map[string]*config.MySQL{
		"db1.example.com:3307": {Socket: "/s", Advertise: "db1.example.com:3307"},
		"192.0.2.7:3306":       {Socket: "/s"},
		"192.0.2.7:3310":       {Host: "127.0.0.1", Port: 3310},
		"127.0.0.11:13306":     {Host: "127.0.0.11", Port: 13306},
		"rds.example.com:3306": {Host: "rds.example.com"},
	} {
		r := newRig(t, func(o *agent.Options) { o.Config.MySQL, o.Host = m, "192.0.2.7" })
		info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{})
		if err != nil || info.GetDatabaseAddress() != want {
			t.Errorf("address = %q, %v, want %q", info.GetDatabaseAddress(), err, want)
		}
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t)
	reply, err := healthv1.NewHealthClient(r.conn).Check(r.ctx(), &healthv1.HealthCheckRequest{})
	if err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", reply, err)
	}
}

func TestPasswordsAreNotLogged(t *testing.T) {
	const canary = "c4nary-s3cret"
	r := newRig(t)
	r.plant("x")
	_, _ = r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{Site: r.ref("x"), Task: task, Password: canary,
		Settings: &agentv1.DatabaseSettings{Host: "h", Name: "n", User: "u"}})
	_, _ = r.database.CreateDatabase(r.ctx(), &agentv1.CreateDatabaseRequest{Name: "site_1", User: "u", Password: canary})
	_, _ = r.database.CreateDatabase(r.ctx(), &agentv1.CreateDatabaseRequest{Name: "other", User: "u", Password: canary})
	if log := r.log.String(); strings.Contains(log, canary) || !strings.Contains(log, "WriteSettings") {
		t.Errorf("log:\n%s", log)
	}
}
