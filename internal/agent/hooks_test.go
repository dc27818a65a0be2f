package agent_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

func (r *rig) hooks() string { return filepath.Join(filepath.Dir(r.www), "hooks") }

func (r *rig) putHook(name, script string) {
	r.t.Helper()
	path := filepath.Join(r.hooks(), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755)); err != nil {
		r.t.Fatal(err)
	}
	for dir := r.hooks(); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // whoever runs it may enter
		_ = os.Chmod(dir, 0o755)
	}
}

// runHooks gives what hooks have said.
func (r *rig) runHooks(ctx context.Context, site *agentv1.SiteRef, task, event string) (lines []string, err error) {
	stream, err := agentv1.NewHookServiceClient(r.conn).RunHooks(ctx, &agentv1.RunHooksRequest{Site: site, Task: task, Event: event})
	for err == nil {
		var m *agentv1.RunHooksResponse
		if m, err = stream.Recv(); err == nil {
			lines = append(lines, m.GetHook()+": "+string(m.GetLine()))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return lines, err
}

func TestHooksRunWhereTheSiteIs(t *testing.T) {
	r := newRig(t)
	r.plant("x")
	r.putHook("before-backup/place", `pwd; id -u; printf 'raw \377\n'`)
	for name, dir := range map[string]string{"x": r.www + "/x", "not-there-yet": "/"} {
		got, err := r.runHooks(r.ctx(), r.ref(name), task, "before-backup")
		if err != nil || len(got) != 4 {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		if got[0] != "before-backup/place: "+dir || got[2] != "before-backup/place: raw \377" {
			t.Errorf("%s: %q", name, got)
		}
		if uid := strings.TrimPrefix(got[1], "before-backup/place: "); name != "x" && os.Geteuid() == 0 && uid != "65534" {
			t.Errorf("a site that is not there is user %s's", uid)
		}
	}
	r.putHook("before-backup/place", "exit 7")
	if _, err := r.runHooks(r.ctx(), r.ref("x"), task, "before-backup"); !errs.Is(err, errs.Failed) || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("one that fails: %v", err)
	}
}

func TestNoSectionNoHooks(t *testing.T) {
	r := newRig(t, func(o *agent.Options) { o.Config.Hooks = nil })
	r.putHook("before-backup/fails", "exit 1")
	if got, err := r.runHooks(r.ctx(), r.ref("x"), task, "before-backup"); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestServerCheckLooksAtHooks(t *testing.T) {
	r := newRig(t, func(o *agent.Options) {
		o.Config.Hooks = &config.Hooks{Directory: "/no/such/hooks", Timeout: soon}
	})
	info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{})
	if err != nil || !strings.Contains(strings.Join(info.GetProblems(), "\n"), "/no/such/hooks") {
		t.Errorf("problems: %q, %v", info.GetProblems(), err)
	}
}
