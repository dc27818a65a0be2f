// Package hook runs the programs that a server's operator has put before and
// after tasks. It alone decides which files those are, as whom and for how long
// they run, and what they are told. It refuses to know what a task does and who
// has asked.
package hook

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Options are what a Runner is made of.
type Options struct {
	// Directory holds a directory for each event.
	Directory string
	// Timeout is how long one hook may run.
	Timeout time.Duration
	// User is the account that hooks run as if the agent is root; empty: the site's owner.
	User string
}

// Runner runs hooks. Its methods may be called at the same time.
type Runner struct {
	opts      Options
	killAfter time.Duration // what a hook that is told to end (SIGTERM) has for it
}

// New makes a Runner. Nothing is looked at yet.
func New(o Options) *Runner { return &Runner{opts: o, killAfter: 5 * time.Second} }

// Call asks for the hooks of an event.
type Call struct {
	model.Hook
	Site model.SiteRef
	// Dir is where hooks begin, and Owner whose it is.
	Dir   string
	Owner Owner
	// Say is called with each line that a hook writes, and with what is to be said of it; never twice at a time.
	Say func(hook, line string)
}

const before = "before-"

// event is the form of an event's name: it is a directory's.
var event = regexp.MustCompile(`^(before|after)-[a-z]{1,32}$`)

// Run runs the hooks of an event in the order of their names, as run-parts(8)
// does. Where there are none it does nothing. All are looked at before the
// first is run, and one that somebody else could have written refuses them all.
// Before a task the first that fails is the last; after it all are run. The
// error names those that failed. The end of ctx ends the hook that runs.
func (r *Runner) Run(ctx context.Context, c Call) error {
	if !event.MatchString(c.Event) {
		return errs.New(errs.Usage, "install the same version of Sitekeep on both sides", "there is no event %q", c.Event)
	}
	hooks, err := r.find(&c)
	if err != nil {
		return err
	}
	var failed []error
	for _, h := range hooks {
		err := r.start(ctx, &c, h)
		if ctx.Err() != nil {
			return errors.Join(append(failed, err)...)
		}
		failed = append(failed, err)
		if err != nil && strings.HasPrefix(c.Event, before) {
			break
		}
	}
	err = errors.Join(failed...)
	if err == nil || errs.HintOf(err) != "" {
		return err
	}
	return errs.New(errs.Failed, "look at what it wrote: sitekeep task log "+c.Task, "%w", err)
}

// found is a hook.
type found struct {
	name string // as it is known, below the directory of hooks
	path string // of the file itself, without links
}

// name is what a hook may be called, as run-parts(8) has it: copies that
// editors and packages leave behind have dots or tildes.
var name = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// find lists the hooks of an event.
func (r *Runner) find(c *Call) (hooks []found, err error) {
	top, err := r.top()
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(top, c.Event)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	dir, err := inside(top, c.Event)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errs.New(errs.Precondition, "make it a directory with executables in it, that the agent's user may read", "hooks: %w", err)
	}
	for _, e := range entries {
		h := found{name: filepath.Join(c.Event, e.Name())}
		if !name.MatchString(e.Name()) {
			c.Say("", "passed over: "+h.name+": a hook's name has letters, digits, hyphens and underscores alone")
			continue
		}
		if h.path, err = inside(top, h.name); err != nil {
			return nil, err
		}
		runs, err := h.look()
		if err != nil {
			return nil, err
		}
		if !runs {
			c.Say(h.name, "passed over: it is not executable")
			continue
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// inside follows a name below the directory of hooks to what it stands for, which has to be below it too, and nobody
// else's to change.
func inside(top, name string) (path string, err error) {
	if path, err = filepath.EvalSymlinks(filepath.Join(top, name)); err != nil {
		return "", errs.New(errs.Precondition, "remove it, or mend it", "hook %s: %w", name, err)
	}
	if !strings.HasPrefix(path, top+"/") {
		return "", errs.New(errs.Permission, "copy what it leads to in its place", "hook %s is a link that leads out of %s", name, top)
	}
	if err := trusted(path, top); err != nil {
		return "", errs.New(errs.Permission, "if nobody has written to it: chown root and chmod go-w on that path", "hook %s: %w", name, err)
	}
	return path, nil
}

// look reports whether the file is to be run.
func (h *found) look() (runs bool, err error) {
	info, err := os.Stat(h.path)
	switch {
	case err != nil:
		return false, errs.New(errs.Precondition, "remove it, or mend it", "hook %s: %w", h.name, err)
	case !info.Mode().IsRegular():
		return false, errs.New(errs.Precondition, "remove it", "hook %s is no file", h.name)
	}
	return info.Mode()&0o111 != 0, nil
}

// top is the directory of hooks, without links.
func (r *Runner) top() (string, error) {
	top, err := filepath.EvalSymlinks(r.opts.Directory)
	if err != nil {
		return "", errs.New(errs.Precondition, "create it, or correct hooks.directory in agent.yaml and restart sitekeep-agent",
			"directory of hooks %s: %w", r.opts.Directory, err)
	}
	return top, nil
}

// Check says what would keep hooks from running; nil if nothing would.
func (r *Runner) Check() error {
	top, err := r.top()
	if err != nil {
		return err
	}
	if err := trusted(top, top); err != nil {
		return errs.New(errs.Permission, "let it be root's, mode 0755, as all directories around it", "directory of hooks: %w", err)
	}
	return nil
}
