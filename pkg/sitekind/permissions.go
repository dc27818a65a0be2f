package sitekind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Rules says which modes a site needs. They are about what would make the
// site fail or leak, not about taste: a mode that does neither is kept.
type Rules struct {
	// Settings lists settings files relative to Root: the web group may read
	// them, others may not.
	Settings []string
	// Skip lists directories relative to Root that are not looked at.
	Skip []string
	// Modes are of files and directories that need one mode and no other.
	Modes []ModeRule
}

// ModeRule is the mode of a file or directory. What is not there is not missed.
type ModeRule struct {
	// Path is relative to Root.
	Path string
	// Mode has permission bits, and setuid, setgid and sticky.
	Mode fs.FileMode
	// Below says that it holds for the directories in it, too.
	Below bool
	// Group says that it belongs to the web group.
	Group bool
}

// of says whether the rule is about a file or directory.
func (r ModeRule) of(name string, dir bool) bool {
	return name == r.Path || r.Below && dir && strings.HasPrefix(name, r.Path+"/")
}

// WebAccess says under which group the web server reads sites.
type WebAccess struct {
	// GID is the group's number; -1 when there is none that can be used. Then
	// only what anybody may write is reported.
	GID int
}

// Drift is one file or directory whose mode or group would make the site
// fail or leak.
type Drift struct {
	// Path is relative to Root.
	Path   string
	Reason string
	// Mode and WantMode are permission bits with setuid, setgid and sticky.
	Mode, WantMode fs.FileMode
	// GID is the group now, WantGID the one that is wanted.
	GID, WantGID int
}

// CheckPermissions walks the site and calls report for each drift. It stops at
// the first error of report. Links are not followed. What cannot be looked at
// is an error that names it. Reported are:
//
//   - files and directories that anybody on the machine may write (directories
//     with the sticky bit aside);
//   - settings files that others may read, or that belong to root and that the
//     web group may not read;
//   - in the docroot: files and directories of root that neither the web group
//     nor others may read, hidden ones aside, and the docroot itself whoever
//     owns it. What belongs to another user may be meant for PHP alone, which
//     may run as that user, and is left alone;
//   - files and directories whose mode or group is not what one of the rules'
//     Modes wants; the first one that is about them counts, and nothing else.
func CheckPermissions(ctx context.Context, p Place, rules Rules, web WebAccess, report func(Drift) error) error {
	w := &walker{place: p, rules: rules, web: web, report: report}
	return w.directory(ctx, p.Root, p.InSite("."), p.InSite("."))
}

type walker struct {
	place  Place
	rules  Rules
	web    WebAccess
	report func(Drift) error
}

// batch is how many names of a directory are held at a time.
const batch = 256

// directory looks at a directory, which is called base in an open one, and at everything in it. Each name is looked up
// in its own directory: by its path, each component would be opened anew for every file.
func (w *walker) directory(ctx context.Context, in *os.Root, base, name string) error {
	if err := w.look(in, base, name); err != nil {
		return err
	}
	dir, err := in.OpenRoot(base)
	if err != nil {
		return fmt.Errorf("permissions of %s: %w", name, err)
	}
	defer dir.Close()
	list, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("permissions of %s: %w", name, err)
	}
	defer list.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := list.ReadDir(batch)
		for _, e := range entries {
			if err := w.entry(ctx, dir, e, path.Join(name, e.Name())); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("permissions of %s: %w", name, err)
		}
	}
}

// entry looks at what is in a directory. What vanishes meanwhile is no error.
func (w *walker) entry(ctx context.Context, dir *os.Root, e fs.DirEntry, name string) error {
	var err error
	switch {
	case e.Type().IsRegular():
		err = w.look(dir, e.Name(), name)
	case e.IsDir() && !slices.Contains(w.rules.Skip, name):
		err = w.directory(ctx, dir, e.Name(), name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (w *walker) look(in *os.Root, base, name string) error {
	info, err := in.Lstat(base)
	if err != nil {
		return fmt.Errorf("permissions of %s: %w", name, err)
	}
	have, ok := ownership(info)
	if !ok {
		return fmt.Errorf("permissions of %s: the system does not tell the owner", name)
	}
	want, reasons := w.want(name, info.IsDir(), have)
	if len(reasons) == 0 {
		return nil
	}
	return w.report(Drift{Path: name, Reason: strings.Join(reasons, "; "),
		Mode: have.mode, WantMode: want.mode, GID: have.gid, WantGID: want.gid})
}

// owned is a file's owner, group and mode.
type owned struct {
	uid, gid int
	mode     fs.FileMode
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func ownership(info fs.FileInfo) (owned, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owned{}, false
	}
	return owned{uid: int(stat.Uid), gid: int(stat.Gid), mode: info.Mode() & modeBits}, true
}

// want says what a file's group and mode are to be, and why.
func (w *walker) want(name string, dir bool, have owned) (owned, []string) {
	want := have
	var reasons []string
	for _, rule := range w.rules.Modes {
		if w.web.GID >= 0 && rule.of(name, dir) {
			return w.wantMode(rule, have)
		}
	}
	if have.mode&0o002 != 0 && (!dir || have.mode&fs.ModeSticky == 0) {
		want.mode &^= 0o002
		reasons = append(reasons, "anybody on the machine may write it")
	}
	if w.web.GID < 0 {
		return want, reasons
	}
	need := fs.FileMode(0o4)
	if dir {
		need = 0o5
	}
	switch {
	case slices.Contains(w.rules.Settings, name):
		reasons = append(reasons, w.wantSettings(have, &want)...)
	case w.public(name, have) && !w.readable(have, need):
		if have.gid == w.web.GID {
			need <<= 3
		}
		want.mode |= need
		reasons = append(reasons, "the web server may not read it")
	}
	return want, reasons
}

// wantMode gives a file or directory the one mode that its rule wants.
func (w *walker) wantMode(rule ModeRule, have owned) (want owned, reasons []string) {
	want = have
	want.mode = rule.Mode
	if rule.Group {
		want.gid = w.web.GID
	}
	if want.mode != have.mode {
		reasons = append(reasons, "this kind of site wants another mode")
	}
	if want.gid != have.gid {
		reasons = append(reasons, "it does not belong to the web server's group")
	}
	return want, reasons
}

// wantSettings lets the web group read a settings file, and nobody else but
// its owner.
func (w *walker) wantSettings(have owned, want *owned) (reasons []string) {
	leaks := have.mode&0o007 != 0
	unread := have.uid == 0 && !w.readable(have, 0o4)
	if !leaks && !unread {
		return nil
	}
	if have.mode&0o004 != 0 {
		reasons = append(reasons, "anybody on the machine may read the credentials")
	}
	if unread {
		reasons = append(reasons, "the web server may not read it")
	}
	want.gid = w.web.GID
	want.mode = (have.mode | 0o040) &^ 0o007
	return reasons
}

// readable says whether the web group has the access, by itself or with all.
func (w *walker) readable(have owned, need fs.FileMode) bool {
	if have.gid == w.web.GID {
		return have.mode>>3&need == need
	}
	return have.mode&need == need
}

// public says whether the web server is sure to have to read something.
func (w *walker) public(name string, have owned) bool {
	docroot := w.place.InDocroot(".")
	if name == docroot {
		return true
	}
	below := name
	if docroot != "." {
		rest, ok := strings.CutPrefix(name, docroot+"/")
		if !ok {
			return false
		}
		below = rest
	}
	hidden := strings.HasPrefix(below, ".") || strings.Contains(below, "/.")
	return have.uid == 0 && !hidden
}

// MendPermission gives the file the mode and group that the drift wants. A
// file that has changed since it was reported is left alone, with an error. It
// may be repeated.
func MendPermission(p Place, d Drift) error {
	f, info, err := openItself(p.Root, d.Path)
	if err != nil {
		return fmt.Errorf("mend permissions of %s: %w", d.Path, err)
	}
	defer f.Close()
	have, ok := ownership(info)
	switch {
	case !ok:
		return fmt.Errorf("mend permissions of %s: the system does not tell the owner", d.Path)
	case have.mode == d.WantMode && have.gid == d.WantGID:
		return nil
	case have.mode != d.Mode || have.gid != d.GID:
		return fmt.Errorf("mend permissions of %s: it has changed since; check again", d.Path)
	}
	if d.WantGID != d.GID {
		if err := f.Chown(-1, d.WantGID); err != nil {
			return fmt.Errorf("mend permissions of %s: %w", d.Path, err)
		}
	}
	if err := f.Chmod(d.WantMode); err != nil {
		return fmt.Errorf("mend permissions of %s: %w", d.Path, err)
	}
	return nil
}

// openItself opens a file or directory, and nothing that a link leads to:
// os.Root follows links within it whatever the flags say.
func openItself(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	named, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !named.Mode().IsRegular() && !named.IsDir() {
		return nil, nil, errors.New("it is neither a file nor a directory")
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(named, info) {
		err = errors.New("it is being exchanged")
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
