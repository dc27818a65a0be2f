package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// retirePlace keeps a migrated site's old place closed until the grace time is over, so that visitors who still come there
// get 503 and not an old copy that takes what they write. Then it removes virtual host and directory, but only if they
// are the site's still. The inodes in its memo tell which directory that is. Of servers that stay it knows nothing.
type retirePlace struct{ *run }

type placeMemo map[string]uint64 // inode of the live directory by server

func (retirePlace) Name() string { return "retire_place" }

func (s retirePlace) Prepare(ctx context.Context) (saga.Memo, error) {
	var live perServer[uint64]
	err := s.eachOld(ctx, func(ctx context.Context, server string, web Web) error {
		state, err := web.InspectTree(ctx, s.basis.From.Ref(), s.task)
		if err == nil {
			live.set(server, state.LiveInode)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return memo(placeMemo(live.m))
}

func (s retirePlace) eachOld(ctx context.Context, f onWebServer) error {
	return s.eachWebOf(ctx, s.basis.left(), f)
}

// Do makes the lease one that outlasts the grace time: from here on only this saga ends it.
func (s retirePlace) Do(ctx context.Context, _ saga.Memo) error {
	s.lease.Stop()
	return s.eachOld(ctx, func(ctx context.Context, _ string, web Web) error {
		return web.RenewMaintenance(ctx, s.basis.From.Ref(), s.task, s.basis.Grace+heldLease)
	})
}

// UndoAfter: the old place may open by itself after the undo, and must not while the new one is open.
func (retirePlace) UndoAfter() []string { return []string{endMaintenance{}.Name()} }

func (s retirePlace) Undo(ctx context.Context, _ saga.Memo) error {
	return s.undoEachOf(ctx, s.basis.left(), s.Name(), func(ctx context.Context, _ string, web Web) error {
		err := web.RenewMaintenance(ctx, s.basis.From.Ref(), s.task, leaseTime)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		return err
	})
}

// Finish removes what is left of the site at its old place, and lets go of the maintenance last.
func (s retirePlace) Finish(ctx context.Context, raw saga.Memo) error {
	m, err := remember[placeMemo](raw)
	if err != nil {
		return err
	}
	return s.eachOld(ctx, func(ctx context.Context, server string, web Web) error {
		doubt, err := s.inUse(ctx, server)
		switch {
		case err != nil:
			return err
		case doubt != "":
			s.log.Warn("%s: %s stays: %s", server, s.basis.From.Root, doubt)
		default:
			if err := s.remove(ctx, server, web, m[server]); err != nil {
				return err
			}
			return s.forget(ctx, server, web)
		}
		return web.EndMaintenance(ctx, s.basis.From.Ref(), s.task)
	})
}

// inUse asks the inventory, which may have changed during the grace time: somebody may have put the old directory under care
// as another site, or have this one there again.
func (s retirePlace) inUse(ctx context.Context, server string) (doubt string, err error) {
	there := *s.basis.From
	there.WebServers = []string{server}
	if err := s.sites.RootFree(ctx, there); err != nil {
		if errs.Is(err, errs.Exists) {
			return err.Error(), nil
		}
		return "", err
	}
	now, err := s.sites.Site(ctx, there.Name)
	switch {
	case errs.Is(err, errs.NotFound):
		return "", nil
	case err == nil && slices.Contains(now.WebServers, server):
		return there.Name + " is recorded to be on this server", nil
	}
	return "", err
}

func (s retirePlace) remove(ctx context.Context, server string, web Web, inode uint64) error {
	if err := s.removeVhost(ctx, server, web); err != nil {
		return err
	}
	return s.removeTree(ctx, server, web, inode)
}

// removeVhost asks for it also if the file is gone: the agent may have died before the web server had read that.
func (s retirePlace) removeVhost(ctx context.Context, server string, web Web) error {
	ref := s.basis.From.Ref()
	if s.external() {
		s.log.Warn("%s: the virtual host of %s is yours to remove", server, ref.Name)
		return nil
	}
	state, err := web.InspectVhost(ctx, ref)
	switch {
	case err != nil:
		return err
	case state.Exists && !state.Managed:
		s.log.Warn("%s: the virtual host of %s stays: it was not written by Sitekeep", server, ref.Name)
		return nil
	}
	return web.RemoveVhost(ctx, ref)
}

// removeTree moves the directory into staging, where it goes. One that is not the migrated one stays.
func (s retirePlace) removeTree(ctx context.Context, server string, web Web, inode uint64) error {
	ref := s.basis.From.Ref()
	state, err := web.InspectTree(ctx, ref, s.task)
	if err != nil {
		return err
	}
	switch state.LiveInode {
	case 0: // moved already
	case inode:
		if err := web.ExchangeTree(ctx, ref, s.task, inode, 0); err != nil {
			return err
		}
	default:
		s.log.Warn("%s: %s stays: it is not the directory that was migrated", server, ref.Root)
	}
	return web.RemoveStaging(ctx, ref, s.task, 0)
}

// Manual names what removes the old place by hand.
func (s retirePlace) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.left() {
		lines = append(lines, fmt.Sprintf("# on %s, if the site is migrated for good and nothing else uses them:", server),
			"rm -rf "+quote(s.basis.From.Root), "# and in the agent's vhost_dir:",
			"rm -f "+quote(s.basis.From.Name+".conf")+" "+quote(s.basis.From.Name+".maintenance"))
	}
	return lines
}

// Describe says what the step does.
func (s retirePlace) Describe() PreviewStep {
	return PreviewStep{Servers: s.basis.left(), Downtime: true, Undo: "let the maintenance end",
		Description: fmt.Sprintf("keep the old place closed; remove its virtual host and %s when the grace time is over", s.basis.From.Root)}
}

// Describe says what the step does.
func (s finalBackup) Describe() PreviewStep {
	return PreviewStep{Servers: s.basis.From.WebServers, Downtime: true, Description: fmt.Sprintf("back the site up: %q", finalDescription)}
}
