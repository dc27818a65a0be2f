package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Names in a staging directory that holds no tree.
const (
	keptFile = ".kept-settings"      // the live settings file as it was: the very file, by a hard link
	keptName = ".kept-settings-name" // a link whose text says where it belongs, seen from the place's root
)

// SwitchSettings keeps the file itself, not a copy: bytes, mode, owner, times and attributes come back with it.
func (s *settingsService) SwitchSettings(ctx context.Context, req *agentv1.SwitchSettingsRequest) (*agentv1.SwitchSettingsResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	kind, err := kindByName(site.Kind)
	if err != nil {
		return nil, err
	}
	settings, err := settingsFromProto(req.GetSettings(), req.GetPassword())
	if err != nil {
		return nil, err
	}
	p, err := livePlace(site)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	now, err := kind.ReadSettings(ctx, p.Place)
	if err != nil { // what cannot be written is not kept either
		return nil, settingsError(err)
	}
	if now.Cloaked() {
		return nil, errs.New(errs.Precondition, "restore files and database together: the virtual host is written with them", "%s", cloakedText(now))
	}
	found, err := kind.Detect(ctx, p.Place)
	if err != nil {
		return nil, settingsError(err)
	}
	err = s.stager.Within(ctx, site, req.GetTask(), true, func(dir *os.Root) error {
		if err := keepSettings(dir, p, found.SettingsFile); err != nil {
			return fmt.Errorf("keep the settings of %s: %w", site.Name, err)
		}
		p.Notes = dir
		return settingsError(kind.WriteSettings(ctx, p.Place, settings))
	})
	return &agentv1.SwitchSettingsResponse{}, err
}

// RevertSettings does nothing where nothing is kept: then nothing was switched, or it was reverted already.
func (s *settingsService) RevertSettings(ctx context.Context, req *agentv1.RevertSettingsRequest) (*agentv1.RevertSettingsResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	reply := &agentv1.RevertSettingsResponse{}
	err = s.stager.Within(ctx, site, req.GetTask(), false, func(dir *os.Root) error {
		name, err := keptSettings(dir)
		if err != nil || name == "" {
			return errors.Join(err, settleSwitch(site, dir), forgetSettings(dir))
		}
		p, err := livePlace(site)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := bringBackSettings(dir, p, name); err != nil {
			return fmt.Errorf("bring back the settings of %s: %w", site.Name, err)
		}
		reply.Reverted = true
		return forgetSettings(dir)
	})
	return reply, err
}

// keepSettings keeps the file of the first call. The name is written before the file, so that a kept file has one.
func keepSettings(dir *os.Root, p *place, name string) error {
	if _, err := dir.Lstat(keptFile); err == nil {
		return nil
	}
	name, err := behindLinks(p.Root, name)
	if err != nil {
		return err
	}
	if err := dir.Remove(keptName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := dir.Symlink(name, keptName); err != nil {
		return explainKeep(err)
	}
	from, err := p.Root.OpenRoot(path.Dir(name))
	if err != nil {
		return err
	}
	defer from.Close()
	err = withRoots(from, dir, func(fromFD, toFD int) error { return unix.Linkat(fromFD, path.Base(name), toFD, keptFile, 0) })
	if err != nil {
		return explainKeep(fmt.Errorf("link %s: %w", name, err))
	}
	return syncRoot(dir)
}

func explainKeep(err error) error {
	switch {
	case errors.Is(err, syscall.EXDEV):
		return errs.New(errs.Precondition, "restore files and database together", "they lie on another file system than the site's directory: %w", err)
	case errors.Is(err, syscall.EPERM):
		return errs.New(errs.Permission, "let the agent's user own the settings file, or run the agent as root", "%w", err)
	}
	return fileError(err)
}

// behindLinks returns the regular file that a name in the site leads to.
func behindLinks(root *os.Root, name string) (string, error) {
	at, err := sitekind.Resolve(root, name)
	if err != nil {
		return "", settingsError(err)
	}
	info, err := root.Lstat(at)
	switch {
	case err != nil:
		return "", fileError(err)
	case !info.Mode().IsRegular():
		return "", errs.New(errs.Precondition, "put a file there", "%s is no file", name)
	}
	return at, nil
}

// keptSettings says where a kept file belongs; "" if none is kept.
func keptSettings(dir *os.Root) (string, error) {
	_, err := dir.Lstat(keptFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return dir.Readlink(keptName)
}

// settleSwitch ends a call that died after the file was back, and before its directory's time was.
func settleSwitch(site *guard.Site, dir *os.Root) error {
	return onLive(site, func(p *place) error { return sitekind.SettleTime(p.Root, dir) })
}

// bringBackSettings leaves the time of the directory as it was, as the switch did.
func bringBackSettings(dir *os.Root, p *place, name string) error {
	to, err := p.Root.OpenRoot(path.Dir(name))
	if err != nil {
		return err
	}
	defer to.Close()
	return sitekind.KeepTime(p.Root, dir, path.Dir(name), func() error {
		err := withRoots(dir, to, func(fromFD, toFD int) error { return unix.Renameat(fromFD, keptFile, toFD, path.Base(name)) })
		return fileError(err)
	})
}

// forgetSettings also removes a name that rename has left: of two names of one file it takes neither.
func forgetSettings(dir *os.Root) error {
	for _, name := range []string{keptFile, keptName} {
		if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncRoot(dir)
}

// withRoots lends the descriptors of two open directories.
func withRoots(a, b *os.Root, f func(aFD, bFD int) error) error {
	first, err := a.Open(".")
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := b.Open(".")
	if err != nil {
		return err
	}
	defer second.Close()
	return f(int(first.Fd()), int(second.Fd()))
}

func syncRoot(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
