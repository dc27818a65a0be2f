package staging_test

import (
	"fmt"
	"os"
	"testing"
)

// TestRemoveOfALargeTree leaves nothing of it, and what links in it point to is as it was.
func TestRemoveOfALargeTree(t *testing.T) {
	p := newPlace(t)
	p.live("old")
	must(t, os.WriteFile(p.www+"/kept", []byte("kept"), 0o644))
	_, err := p.stager.Fill(t.Context(), p.site, task, func(dir *os.Root) error {
		for d := range 8 {
			must(t, dir.MkdirAll(fmt.Sprintf("a/%d/b", d), 0o755))
			for f := range 300 {
				must(t, dir.WriteFile(fmt.Sprintf("a/%d/b/%d", d, f), nil, 0o400))
			}
			must(t, dir.Symlink(p.www, fmt.Sprintf("a/%d/link", d)))
			must(t, dir.Chmod(fmt.Sprintf("a/%d", d), 0o500))
		}
		return nil
	})
	must(t, err)
	if existed, err := p.stager.Remove(t.Context(), p.site, task, 0); err != nil || !existed {
		t.Fatalf("existed: %v, %v", existed, err)
	}
	if inode(t, p.stagingDir()) != 0 {
		t.Error("the staging directory is still there")
	}
	if text, err := os.ReadFile(p.www + "/kept"); string(text) != "kept" {
		t.Errorf("what a link pointed to: %q, %v", text, err)
	}
	p.want("old", "")
}
