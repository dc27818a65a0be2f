//go:build integration

package hook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/agent/hook"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// TestAsWhom: root runs hooks as the site's owner, or as the account of agent.yaml, with their groups alone.
func TestAsWhom(t *testing.T) {
	r := newRig(t)
	r.must(os.Chmod(filepath.Dir(filepath.Dir(r.top)), 0o755)) // the test's own
	r.put("after-restore/who", "id -u; id -g; id -G; echo $HOME", 0o755)
	as := func(o hook.Options, owner hook.Owner) error {
		r.said = nil
		o.Directory, o.Timeout = r.top, time.Minute
		return hook.New(o).Run(t.Context(), hook.Call{
			Hook: model.Hook{Event: "after-restore", Task: "T1"}, Dir: "/", Owner: owner,
			Say: func(_, line string) { r.said = append(r.said, line) },
		})
	}
	want := func(lines ...string) {
		t.Helper()
		for i, line := range lines {
			if i >= len(r.said) || r.said[i] != line {
				t.Errorf("said %q, want %q", r.said, lines)
				return
			}
		}
	}
	r.must(as(hook.Options{}, hook.Owner{UID: 12345, GID: 23456}))
	want("12345", "23456", "23456", "/")
	r.must(as(hook.Options{}, hook.Nobody))
	want("65534", "65534", "65534")
	r.must(as(hook.Options{User: "www-data"}, hook.Owner{UID: 12345, GID: 23456}))
	want("33", "33", "33", "/var/www")
	r.must(os.Chmod(r.top, 0o700))
	err := as(hook.Options{}, hook.Nobody)
	r.wantError(err, errs.Failed, "permission denied", "as nobody")
	if hint := errs.HintOf(err); !strings.Contains(hint, "may read") {
		t.Errorf("hint %q", hint)
	}
	r.wantError(as(hook.Options{User: "no-such-account"}, hook.Nobody), errs.Precondition, "no-such-account")
}

// TestAnotherOwner: what another user owns, that user can change.
func TestAnotherOwner(t *testing.T) {
	for _, name := range []string{"/before-backup/10-good", "/before-backup", ""} {
		r := newRig(t)
		r.put("before-backup/10-good", "echo ran", 0o755)
		r.must(os.Chown(r.top+name, 12345, 0))
		r.wantError(r.run(t.Context(), r.runner(), "before-backup"), errs.Permission, "belongs to user 12345")
		r.wantLines()
	}
}
