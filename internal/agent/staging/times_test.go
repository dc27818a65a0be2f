package staging_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTimesAfterACrash: an agent that died between the swap, with which XFS gives both directories another time, and
// bringing these back does so with the next call, in whatever direction that goes.
func TestTimesAfterACrash(t *testing.T) {
	then := map[string]time.Time{"old": time.Unix(1e9, 1), "new": time.Unix(1e9, 2)}
	for name, c := range map[string]struct {
		swapped      bool // before it died
		back         bool // the call after it
		live, staged string
	}{
		"swapped, and repeated":     {true, false, "new", "old"},
		"swapped, and taken back":   {true, true, "old", "new"},
		"not swapped, and repeated": {false, false, "new", "old"},
		"not swapped, and undone":   {false, true, "old", "new"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			live, staged := p.live("old"), p.staged("new")
			note := fmt.Sprintf(`{"%d":%d,"%d":%d}`, live, then["old"].UnixNano(), staged, then["new"].UnixNano())
			must(t, os.WriteFile(p.stagingDir()+"/.times", []byte(note), 0o600))
			if c.swapped {
				must(t, unix.Renameat2(unix.AT_FDCWD, p.www+"/x", unix.AT_FDCWD, p.stagingDir()+"/x", unix.RENAME_EXCHANGE))
			}
			if c.back {
				live, staged = staged, live
			}
			must(t, p.stager.Exchange(t.Context(), p.site, task, live, staged))
			p.want(c.live, c.staged)
			for path, of := range map[string]string{p.www + "/x": c.live, p.stagingDir() + "/x": c.staged} {
				if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(then[of]) {
					t.Errorf("%s: %v, %v; want %v", path, info.ModTime(), err, then[of])
				}
			}
			if _, err := os.Stat(p.stagingDir() + "/.times"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the note stays: %v", err)
			}
		})
	}
}

// TestATornNoteOfTimes was never followed by a swap.
func TestATornNoteOfTimes(t *testing.T) {
	p := newPlace(t)
	live, staged := p.live("old"), p.staged("new")
	must(t, os.WriteFile(p.stagingDir()+"/.times", []byte(`{"12":`), 0o600))
	must(t, p.stager.Exchange(t.Context(), p.site, task, live, staged))
	p.want("new", "old")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
