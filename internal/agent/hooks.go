package agent

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/agent/hook"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type hookService struct {
	agentv1.UnimplementedHookServiceServer
	*Agent
}

// hooks returns the runner; nil without a section hooks.
func (a *Agent) hooks() *hook.Runner {
	h := a.cfg.Hooks
	if h == nil {
		return nil
	}
	return hook.New(hook.Options{Directory: h.Directory, Timeout: h.Timeout, User: h.User})
}

// RunHooks runs nothing for a site that the allow-list refuses.
func (s *hookService) RunHooks(req *agentv1.RunHooksRequest, stream agentv1.HookService_RunHooksServer) error {
	runner := s.hooks()
	if runner == nil {
		return nil
	}
	defer s.hurry()()
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return err
	}
	call := hook.Call{
		Hook: model.Hook{Event: req.GetEvent(), Task: req.GetTask(), Backup: req.GetBackup(), Outcome: req.GetOutcome()},
		Site: site.SiteRef,
		Say: func(name, line string) { // a stream that has ended ends the hook by its context
			_ = stream.Send(&agentv1.RunHooksResponse{Hook: name, Line: []byte(line)})
		},
	}
	if call.Dir, call.Owner, err = hookPlace(site); err != nil {
		return err
	}
	return runner.Run(stream.Context(), call)
}

// hookPlace is the docroot, and whose the site's directory is. A site that is
// not there yet is nobody's, and has no directory to be in.
func hookPlace(site *guard.Site) (dir string, owner hook.Owner, err error) {
	root, err := site.OpenRoot()
	if errs.Is(err, errs.NotFound) || errors.Is(err, syscall.ENOENT) {
		return "/", hook.Nobody, nil
	}
	if err != nil {
		return "", owner, err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return "", owner, fmt.Errorf("root %s: %w", site.Root, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", owner, fmt.Errorf("root %s: its owner is not known on this system", site.Root)
	}
	docroot, err := site.OpenDocroot()
	if err != nil {
		return "", owner, err
	}
	return site.Docroot, hook.Owner{UID: stat.Uid, GID: stat.Gid}, docroot.Close()
}
