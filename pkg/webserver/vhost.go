package webserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// undoTimeout bounds putting back a virtual host after a failure, which goes
// on when the caller's context has ended.
const undoTimeout = time.Minute

// WriteResult says what WriteVhost did.
type WriteResult struct {
	// Changed is false when the file had these very bytes already.
	Changed bool
	// Hash is the SHA-256 of the file, in hex.
	Hash   string
	Reload ReloadResult
}

// VhostState says what stands in the file of a virtual host.
type VhostState struct {
	Exists bool
	// Managed says that the file was written by us, edited since or not.
	Managed bool
	// Edited says that a managed file was changed by hand since.
	Edited bool
	// Hash is the SHA-256 of the whole file, in hex; of a link's target if the
	// file is a link.
	Hash string
	Mode fs.FileMode
	// Generation names what a managed virtual host was made from. The running
	// web server tells it, see WaitServing.
	Generation string
}

// WriteVhost writes the site's virtual host, tests the configuration and
// reloads. What was there before is kept beside it for RevertVhost, under a
// name that the web server does not include, until ForgetVhost. If any of it
// fails, what was there is put back as it was (bytes, mode, or absence)
// before the error is returned: a *ForeignVhostError when the file is not
// ours and Overwrite is not set, a *CommandError when a command failed.
// It may be repeated with the same token; the oldest state stays saved.
func (s *Server) WriteVhost(ctx context.Context, site Site, token string) (WriteResult, error) {
	rendered, err := s.RenderVhost(site)
	if err = errors.Join(validateToken(token), err); err != nil {
		return WriteResult{}, err
	}
	result := WriteResult{Hash: hashOf(rendered)}
	result.Reload, err = s.change(ctx, site.Name, token, func(d *vhostDir) error {
		state, err := s.mayReplace(d, site)
		if err != nil || state.Hash == result.Hash && state.Mode.Perm() == modeFor(site) {
			return err
		}
		result.Changed = true
		return d.replace(site.Name+confSuffix, site.Name+tempMark+token, rendered, modeFor(site))
	})
	if err != nil {
		return WriteResult{}, fmt.Errorf("virtual host of %s: %w", site.Name, hideEnv(err, site.Env))
	}
	return result, nil
}

// modeFor keeps secrets from all but the owner of the file.
func modeFor(site Site) fs.FileMode {
	if len(site.Env) > 0 {
		return secretMode
	}
	return vhostMode
}

// hideEnv takes what a failed command showed of an environment out of its
// output, as it stands and as it is quoted.
func hideEnv(err error, env []EnvVar) error {
	failed, ok := errors.AsType[*CommandError](err)
	if !ok {
		return err
	}
	for _, v := range env {
		if v.Value == "" {
			continue
		}
		for _, shown := range []string{v.Value, strings.Trim(nginxQuote(v.Value), `"`)} {
			failed.Output = strings.ReplaceAll(failed.Output, shown, "(hidden)")
		}
	}
	return err
}

// RemoveVhost removes a site's virtual host and reloads, with the same
// promises as WriteVhost; RevertVhost brings it back until ForgetVhost. A
// file that is not there is no error; one that was never ours is a
// *ForeignVhostError.
func (s *Server) RemoveVhost(ctx context.Context, name, token string) (ReloadResult, error) {
	if err := validateNameToken(name, token); err != nil {
		return ReloadResult{}, err
	}
	result, err := s.change(ctx, name, token, func(d *vhostDir) error {
		state, err := s.state(d, name)
		if err == nil && state.Exists && !state.Managed {
			err = &ForeignVhostError{Path: s.path(name)}
		}
		if err != nil {
			return err
		}
		return errors.Join(d.remove(name+confSuffix), d.sync())
	})
	if err != nil {
		return ReloadResult{}, fmt.Errorf("virtual host of %s: remove: %w", name, err)
	}
	return result, nil
}

// RevertVhost brings the virtual host back as it was before the change token
// and reloads. It may be repeated, and does nothing when that change was never
// begun, was reverted, or was forgotten. When the reload fails, the file is
// back nevertheless, the error says so, and the call is to be repeated.
func (s *Server) RevertVhost(ctx context.Context, name, token string) (ReloadResult, error) {
	if err := validateNameToken(name, token); err != nil {
		return ReloadResult{}, err
	}
	release, d, err := s.begin(ctx)
	if err != nil {
		return ReloadResult{}, err
	}
	defer release()
	saved, err := d.saved(name, token)
	switch {
	case err != nil:
		return ReloadResult{}, fmt.Errorf("virtual host of %s: find the old one: %w", name, err)
	case saved == "":
		return ReloadResult{}, d.forget(name, token)
	}
	if err := d.putBack(name, token, saved); err != nil {
		return ReloadResult{}, fmt.Errorf("virtual host of %s: put back: %w", name, err)
	}
	result, err := s.reload(ctx)
	if err != nil {
		return result, fmt.Errorf("virtual host of %s is back as it was, but not served yet: %w", name, err)
	}
	return result, d.forget(name, token)
}

// ForgetVhost removes what was kept for RevertVhost. It may be repeated.
func (s *Server) ForgetVhost(ctx context.Context, name, token string) error {
	if err := validateNameToken(name, token); err != nil {
		return err
	}
	release, d, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := d.forget(name, token); err != nil {
		return fmt.Errorf("virtual host of %s: forget the old one: %w", name, err)
	}
	return nil
}

// SavedVhost names a virtual host that RevertVhost can bring back.
type SavedVhost struct{ Name, Token string }

// SavedVhosts lists the changes that were neither reverted nor forgotten.
func (s *Server) SavedVhosts(ctx context.Context) ([]SavedVhost, error) {
	release, d, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	names, err := d.names()
	var out []SavedVhost
	for _, file := range names {
		for _, mark := range []string{oldMark, noneMark} {
			if name, token, ok := strings.Cut(file, mark); ok && validateNameToken(name, token) == nil {
				out = append(out, SavedVhost{Name: name, Token: token})
			}
		}
	}
	return out, err
}

// VhostState looks at a site's virtual host. A file that is not there is no error.
func (s *Server) VhostState(_ context.Context, name string) (VhostState, error) {
	if err := validateName(name); err != nil {
		return VhostState{}, err
	}
	d, err := s.openDir()
	if err != nil {
		return VhostState{}, err
	}
	defer d.Close()
	return s.state(d, name)
}

func (s *Server) path(name string) string {
	return filepath.Join(s.cfg.VhostDir, name+confSuffix)
}

func (s *Server) state(d *vhostDir, name string) (VhostState, error) {
	info, err := d.Lstat(name + confSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return VhostState{}, nil
	}
	if err != nil {
		return VhostState{}, fmt.Errorf("read %s: %w", s.path(name), err)
	}
	if info.Mode().Type() == fs.ModeSymlink { // We write no links; it may lead anywhere.
		target, err := d.Readlink(name + confSuffix)
		return VhostState{Exists: true, Hash: hashOf([]byte(target)), Mode: info.Mode()}, err
	}
	data, err := d.read(name + confSuffix)
	if err != nil {
		return VhostState{}, fmt.Errorf("read %s: %w", s.path(name), err)
	}
	state := readSeal(data)
	state.Exists, state.Hash, state.Mode = true, hashOf(data), info.Mode()
	return state, nil
}

// mayReplace refuses to replace what is not ours unless the site says so.
func (s *Server) mayReplace(d *vhostDir, site Site) (VhostState, error) {
	state, err := s.state(d, site.Name)
	if err != nil || site.Overwrite || !state.Exists || state.Managed && !state.Edited {
		return state, err
	}
	return state, &ForeignVhostError{Path: s.path(site.Name), Edited: state.Managed}
}

// begin opens the directory and keeps other changes out until release.
func (s *Server) begin(ctx context.Context) (release func(), d *vhostDir, err error) {
	unlock, err := acquire(ctx, s.changing)
	if err != nil {
		return nil, nil, fmt.Errorf("wait for another change of the web server: %w", err)
	}
	d, err = s.openDir()
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return func() { _ = d.Close(); unlock() }, d, nil
}

// change saves a virtual host, lets mutate change it, and reloads. On any
// failure it leaves what was there before the change token.
func (s *Server) change(ctx context.Context, name, token string, mutate func(*vhostDir) error) (ReloadResult, error) {
	release, d, err := s.begin(ctx)
	if err != nil {
		return ReloadResult{}, err
	}
	defer release()
	if err := d.save(name, token); err != nil {
		return ReloadResult{}, fmt.Errorf("keep the old file: %w", errors.Join(err, d.forget(name, token)))
	}
	if err := mutate(d); err != nil {
		return ReloadResult{}, errors.Join(err, s.undo(ctx, d, name, token, nil))
	}
	result, err := s.reload(ctx)
	if err != nil {
		return ReloadResult{}, errors.Join(err, s.undo(ctx, d, name, token, err))
	}
	return result, nil
}

// undo puts the old file back. If the running web server may have taken the
// new one, it is reloaded; if only the test failed, the test is run again to
// tell whose fault it was.
func (s *Server) undo(ctx context.Context, d *vhostDir, name, token string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	saved, err := d.saved(name, token)
	if err != nil {
		return err
	}
	if err := d.putBack(name, token, saved); err != nil {
		return fmt.Errorf("put back the old file: %w; it is kept as %s", err, saved)
	}
	failed, ok := errors.AsType[*CommandError](cause)
	switch {
	case !ok:
	case failed.What == whatTest:
		failed.AlreadyBroken = s.test(ctx) != nil
	default:
		_, _ = s.reload(ctx) // The first failure is the one to report.
	}
	return d.forget(name, token)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
