//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestAgentDiesDuringABackup kills the web server's agent while its bytes come,
// and starts it again: the backup goes on and succeeds, and its log tells of it.
func TestAgentDiesDuringABackup(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.random(filepath.Join(s.site.Root, "wp-content", "uploads", "film.bin"), 64<<20)
	s.must(s.master.Stop())
	s.setBandwidth("web1", "8MiB")
	s.must(s.master.Start(t.Context()))
	task := s.ok("backup", siteName, "--detach")
	eventually(t, "some MiB of the backup", func() error {
		p := read[struct {
			Progress struct {
				Done int64 `json:"done_bytes"`
			} `json:"progress"`
		}](s, "task", "show", task).Progress
		if p.Done < 16<<20 {
			return fmt.Errorf("%d bytes", p.Done)
		}
		return nil
	})
	s.must(s.onWeb.Kill())
	eventually(t, "a line that tells of it", func() error {
		if log := s.ok("task", "log", task); !strings.Contains(log, "connection to web1 lost after") {
			return fmt.Errorf("log: %s", log)
		}
		return nil
	})
	s.must(s.onWeb.Start(t.Context()))
	end := s.ended(task)
	if end.State != "succeeded" || end.Attempt != 1 {
		t.Errorf("the task ended as %s in attempt %d: %s\n%s", end.State, end.Attempt, end.Error, s.ok("task", "log", task))
	}
	s.storeIsListed()
	s.ok("check", "--read-data", end.Backup)
}

// setBandwidth bounds what comes from a server; a rate has a unit.
func (s *stage) setBandwidth(server, rate string) {
	s.t.Helper()
	file := filepath.Join(s.master.DataDir, "master.yaml")
	text, err := os.ReadFile(file)
	s.must(err)
	settings := map[string]any{}
	s.must(yaml.Unmarshal(text, &settings))
	settings["bandwidth"] = map[string]any{"servers": map[string]string{server: rate}}
	text, err = yaml.Marshal(settings)
	s.must(err)
	s.must(os.WriteFile(file, text, 0o600))
}

// TestAgentDiesDuringARestore kills the web server's agent while the files of a restore come, and starts it again: the
// restore goes on with what had come, succeeds in its first attempt, and the site is the backup's to the byte.
func TestAgentDiesDuringARestore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	uploads := filepath.Join(s.site.Root, "wp-content", "uploads", "films")
	s.must(os.Mkdir(uploads, 0o755))
	for i := range 16 {
		s.random(filepath.Join(uploads, fmt.Sprintf("%02d.bin", i)), 3<<20)
	}
	want, id := s.fingerprint(), s.backup()
	s.must(os.RemoveAll(uploads))
	s.must(s.master.Stop())
	s.setBandwidth("web1", "8MiB")
	s.must(s.master.Start(t.Context()))
	task := s.ok("restore", siteName, id, "--files-only", "--yes", "--detach")
	eventually(t, "some files of the restore", func() error {
		come, err := filepath.Glob(filepath.Join(filepath.Dir(s.site.Root), ".sitekeep-*", ".incoming", "wp-content", "uploads", "films", "*.bin"))
		if err == nil && len(come) < 4 {
			err = fmt.Errorf("%d have come", len(come))
		}
		return err
	})
	s.must(s.onWeb.Kill())
	eventually(t, "a line that tells of it", func() error {
		if log := s.ok("task", "log", task); !strings.Contains(log, "push files: connection to web1 lost, trying again in") {
			return fmt.Errorf("log: %s", log)
		}
		return nil
	})
	s.must(s.onWeb.Start(t.Context()))
	end := s.ended(task)
	if end.State != "succeeded" || end.Attempt != 1 {
		t.Errorf("the task ended as %s in attempt %d: %s\n%s", end.State, end.Attempt, end.Error, s.ok("task", "log", task))
	}
	s.isNow(want)
}
