package sitekind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// SwitchMark stands in every switch of ours, and tells it from one that
// somebody else has made.
const SwitchMark = "made by sitekeep: goes when the task does"

// Switch is a file while which is there a site keeps visitors out by itself.
type Switch struct {
	// Name is the file, relative to Root.
	Name string
	// Content contains SwitchMark. It stays the same as long as the pass does.
	Content []byte
	// Cookie is what a request sends, besides the header of the pass, to see the
	// site all the same; "NAME=VALUE", or empty.
	Cookie string
	// Impassable says that no request sees the site while the switch is on.
	Impassable bool
}

// Pass is what a request sends to see a site whose switch is on.
type Pass struct {
	// Header is the name of a request header, Value what stands in it.
	Header, Value string
}

// Switcher is implemented by kinds that know of a maintenance mode of their
// sites, be it to say that no file turns it on.
type Switcher interface {
	// MaintenanceSwitch says which file turns the site's maintenance mode on, and
	// changes nothing. A site of whose mode that is not true is a *NoSwitchError.
	MaintenanceSwitch(ctx context.Context, p Place, pass Pass) (Switch, error)
}

// NoSwitchError says why a site has no file that turns its maintenance mode on.
type NoSwitchError struct{ Why string }

// Error implements error.
func (e *NoSwitchError) Error() string {
	return "the site has no maintenance switch of its own: " + e.Why
}

// ErrForeignSwitch means that somebody else has switched the site off. What
// they did stays as it is.
var ErrForeignSwitch = errors.New("it is there already, and not ours")

// FindSwitch asks a kind for the switch of a site. Its name is that of the file
// itself: links to its directory have been followed.
func FindSwitch(ctx context.Context, k Kind, p Place, pass Pass) (Switch, error) {
	switcher, ok := k.(Switcher)
	if !ok {
		return Switch{}, &NoSwitchError{Why: "sites of the kind " + k.Name() + " have none that is known"}
	}
	s, err := switcher.MaintenanceSwitch(ctx, p, pass)
	if err != nil {
		return Switch{}, err
	}
	dir, err := Resolve(p.Root, path.Dir(s.Name))
	s.Name = path.Join(dir, path.Base(s.Name))
	return s, err
}

// TurnOn writes the file, durably, as readable as its directory is. It may be
// repeated. A file of somebody else's is ErrForeignSwitch. The directory's time
// of modification stays what it was.
func (s Switch) TurnOn(p Place) error {
	root := p.Root
	if ours, err := OursOrNone(root, s.Name); err != nil || !ours {
		return errors.Join(err, foreign(s.Name, ours))
	}
	if now, err := root.ReadFile(s.Name); err == nil && bytes.Equal(now, s.Content) {
		return nil
	}
	dir, err := root.Stat(path.Dir(s.Name))
	if err != nil {
		return lookup(s.Name, err)
	}
	return KeepTime(root, p.Notes, path.Dir(s.Name), func() error {
		temp := path.Join(path.Dir(s.Name), tempPrefix+"switch.tmp")
		if err := remove(root, temp); err != nil {
			return err
		}
		if err := s.write(root, temp, dir.Sys().(*syscall.Stat_t)); err != nil {
			return fmt.Errorf("write %s: %w", s.Name, errors.Join(err, remove(root, temp)))
		}
		return root.Rename(temp, s.Name)
	})
}

func foreign(name string, ours bool) error {
	if ours {
		return nil
	}
	return fmt.Errorf("%s: %w", name, ErrForeignSwitch)
}

// TurnOff removes the file if it is ours. It may be repeated; a directory that
// is gone is no error.
func TurnOff(root *os.Root, name string) error {
	_, err := root.Lstat(name)
	if missing(err) {
		return nil
	}
	if ours, err := OursOrNone(root, name); err != nil || !ours {
		return err
	}
	return KeepTime(root, nil, path.Dir(name), func() error { return remove(root, name) })
}

// OursOrNone says whether a switch may be written and removed: there is none,
// or it is ours.
func OursOrNone(root *os.Root, name string) (bool, error) {
	info, err := root.Lstat(name)
	switch {
	case missing(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look at %s: %w", name, err)
	case !info.Mode().IsRegular() || info.Size() > MaxSettings:
		return false, nil
	}
	data, err := root.ReadFile(name)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", name, err)
	}
	return bytes.Contains(data, []byte(SwitchMark)), nil
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// write makes the file belong to whom its directory belongs to, and readable
// for whom that is, but writable for its owner alone.
func (s Switch) write(root *os.Root, name string, dir *syscall.Stat_t) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(s.Content)
	if err == nil && os.Geteuid() == 0 {
		err = unix.Fchown(int(f.Fd()), int(dir.Uid), int(dir.Gid))
	}
	if err == nil {
		err = unix.Fchmod(int(f.Fd()), dir.Mode&0o644|0o600)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
