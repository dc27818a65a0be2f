package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// restored is a tarball, the tree that a restore has made of it, and a backup of that tree.
type restored struct {
	t     *testing.T
	m     *made
	live  *site
	newer *made
}

// clockAt lets a walk begin at another time than now: a later one lets times prove
// that nothing was touched since, however young files are.
func clockAt(at time.Time) SourceOptions { return SourceOptions{Clock: func() time.Time { return at }} }

func restoreOf(t *testing.T, s *site, own, newer time.Time, change func(live *site)) *restored {
	t.Helper()
	m := s.make(makeOptions{codec: Zstd(), dump: smallDump(), source: clockAt(own)})
	live := &site{t, m.delta(t, "", DeltaOptions{}).dir}
	change(live)
	return &restored{t, m, live, live.make(makeOptions{codec: Zstd(), dump: smallDump(), source: clockAt(newer)})}
}

func (r *restored) seen() Seen {
	return Seen{Reader: r.m.open(r.t), Newer: r.newer.open(r.t), Lost: func(err error) { r.t.Error(err) }}
}

// unread lists the files of the live tree that a Delta would take over without reading them.
func (r *restored) unread(s Seen) (out []string) {
	d := &Delta{opts: DeltaOptions{WalkStarted: s.WalkStarted()}}
	for f, err := range s.BaseFrames(0) {
		check(r.t, err)
		for _, e := range f.Entries {
			var st unix.Stat_t
			if e.Type == TypeRegular && unix.Lstat(r.live.path(e.Name()), &st) == nil && d.sameChange(&e, &st) {
				out = append(out, e.Name())
			}
		}
	}
	return out
}

// staged is what the tarball and the live tree give.
func (r *restored) staged(s Seen) staged {
	got, err := r.m.tryDelta(r.t, r.live.dir, DeltaOptions{WalkStarted: s.WalkStarted()}, s.BaseFrames(0))
	check(r.t, err)
	return got
}

// TestFilesOfARestoreAreKnown: no inode is the tarball's, and yet nothing has to be read.
func TestFilesOfARestoreAreKnown(t *testing.T) {
	s := richSite(t)
	r := restoreOf(t, s, later(), later(), func(*site) {})
	if got := r.unread(Seen{Reader: r.m.open(t), Newer: r.m.open(t)}); len(got) > 0 {
		t.Errorf("known without the newer backup: %q", got)
	}
	seen := r.seen()
	if got := r.unread(seen); int64(len(got)) != r.m.tree.Files {
		t.Errorf("%d of %d files are known", len(got), r.m.tree.Files)
	}
	got := r.staged(seen)
	compareTrees(t, listing(t, s.dir), listing(t, got.dir))
	if len(got.runs) > 0 {
		t.Errorf("asked for %v", got.runs)
	}
}

// TestWhatTheNewerBackupDoesNotProve has to be read, or to come from the tarball.
func TestWhatTheNewerBackupDoesNotProve(t *testing.T) {
	const name = "wp-includes/f007.php"
	s := fewFiles(t)
	long, now := time.Now().Add(time.Hour), time.Now()
	other := func(live *site) { live.write(name, []byte("something else, of another size")) }
	rows := map[string]struct {
		own, newer time.Time
		before     func(live *site) // the newer backup
		after      func(live *site)
	}{
		"changed before the newer backup":      {long, long, other, func(*site) {}},
		"changed after it":                     {long, long, func(*site) {}, other},
		"as long as before, and as old":        {long, long, sameSize(name), func(*site) {}},
		"so after the newer backup":            {long, long, func(*site) {}, sameSize(name)},
		"gone before it, back after it":        {long, long, func(live *site) { check(t, os.Remove(live.path(name))) }, other},
		"touched right before the newer one":   {long, now, func(*site) {}, func(*site) {}},
		"the newer one is the older one":       {long, now.Add(-time.Hour), func(*site) {}, func(*site) {}},
		"of another age, with the same bytes":  {long, long, func(live *site) { check(t, os.Chtimes(live.path(name), now, now)) }, func(*site) {}},
		"a directory in the newer one's place": {long, long, func(live *site) { check(t, os.Remove(live.path(name))); live.mkdir(name) }, func(*site) {}},
	}
	for what, c := range rows {
		t.Run(what, func(t *testing.T) {
			r := restoreOf(t, s, c.own, c.newer, c.before)
			pause()
			c.after(r.live)
			seen := r.seen()
			if slices.Contains(r.unread(seen), "./"+name) {
				t.Error("it would be taken over unread")
			}
			compareTrees(t, listing(t, s.dir), listing(t, r.staged(seen).dir))
		})
	}
}

// fewFiles is a site with two directories.
func fewFiles(t *testing.T) *site {
	s := newSite(t)
	for i := range 20 {
		s.write(fmt.Sprintf("wp-includes/f%03d.php", i), text(uint64(i), 100+i*97))
		s.write(fmt.Sprintf("wp-x/f%03d.php", i), text(uint64(i), 100+i*97))
	}
	return s
}

// sameSize changes what is in a file, and neither its size nor its age.
func sameSize(name string) func(*site) {
	return func(live *site) {
		text, err := os.ReadFile(live.path(name))
		check(live.t, err)
		text[0] ^= 1
		live.write(name, text)
	}
}

// TestOwnStatesCountByTheOwnWalk: what was changed so shortly before the tarball's own walk that a change could hide
// in the clock's step is not proven by the newer backup's later walk.
func TestOwnStatesCountByTheOwnWalk(t *testing.T) {
	const name = "wp-includes/f007.php"
	s := fewFiles(t)
	m := s.make(makeOptions{codec: Zstd(), source: clockAt(time.Now())})
	sameSize(name)(s)
	newer := s.make(makeOptions{codec: Zstd(), source: clockAt(later())})
	seen := Seen{Reader: m.open(t), Newer: newer.open(t)}
	for f, err := range seen.BaseFrames(0) {
		check(t, err)
		for _, e := range f.Entries {
			if proven := !e.ChangeTime.IsZero(); e.Type == TypeRegular && proven != (e.Name() != "./"+name) {
				t.Errorf("%s: proven %v", e.Name(), proven)
			}
		}
	}
}

// failing is a file that cannot be read any more.
type failing struct {
	io.ReaderAt
	broken bool
}

var errWorn = errors.New("input/output error")

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.broken {
		return 0, errWorn
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestANewerBackupThatCannotBeRead costs reading, and nothing else.
func TestANewerBackupThatCannotBeRead(t *testing.T) {
	s := fewFiles(t)
	r := restoreOf(t, s, later(), later(), func(*site) {})
	file, err := os.Open(r.newer.path)
	check(t, err)
	defer file.Close()
	disk := &failing{ReaderAt: file}
	newer, err := Open(disk, r.newer.result.Size)
	check(t, err)
	disk.broken = true
	var lost []error
	seen := Seen{Reader: r.m.open(t), Newer: newer, Lost: func(err error) { lost = append(lost, err) }}
	compareTrees(t, listing(t, s.dir), listing(t, r.staged(seen).dir))
	if len(lost) != 1 || !errors.Is(lost[0], ErrCorrupt) {
		t.Errorf("told of %v", lost)
	}
}

// TestYoungFilesAreRead: what was changed within the clock's step of the walk may have been changed again after it.
func TestYoungFilesAreRead(t *testing.T) {
	const name = "wp-includes/f007.php"
	s := fewFiles(t)
	m := s.make(makeOptions{codec: Zstd()})
	e, err := m.open(t).Lookup("./" + name)
	check(t, err)
	var st unix.Stat_t
	check(t, unix.Lstat(s.path(name), &st))
	for walk, unread := range map[time.Time]bool{
		e.ChangeTime: false, e.ChangeTime.Add(racyWindow): false, e.ChangeTime.Add(racyWindow + 1): true,
	} {
		d := &Delta{opts: DeltaOptions{WalkStarted: walk}}
		if d.sameChange(&e, &st) != unread {
			t.Errorf("a walk %s after the change: unread %v", walk.Sub(e.ChangeTime), !unread)
		}
	}
}
