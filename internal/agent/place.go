package agent

import (
	"os"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// place is a sitekind.Place that closes what it opened.
type place struct{ sitekind.Place }

// Close closes its directories.
func (p *place) Close() {
	_ = p.Root.Close()
	if p.Notes != nil {
		_ = p.Notes.Close()
	}
}

// place opens the live tree, or the staged tree of a task.
func (a *Agent) place(site *guard.Site, task string) (*place, error) {
	if task == "" {
		return livePlace(site)
	}
	root, notes, err := a.stager.Open(site, task)
	if err != nil {
		return nil, err
	}
	p := rootPlace(root, site)
	p.Notes = notes
	return p, nil
}

// livePlace opens the site's directory, or the docroot where that contains it.
func livePlace(site *guard.Site) (*place, error) {
	rel, inside := site.RootInDocroot()
	if _, ok := site.DocrootInRoot(); !ok && !inside {
		return nil, errs.New(errs.Usage, "give a docroot that is the root, above it, or below it",
			"docroot %s has nothing to do with root %s", site.Docroot, site.Root)
	}
	root, err := site.OpenRoot()
	if err != nil {
		return nil, err
	}
	if !inside || rel == "." {
		return rootPlace(root, site), nil
	}
	_ = root.Close() // it was looked at only
	docroot, err := site.OpenDocroot()
	if err != nil {
		return nil, err
	}
	return &place{sitekind.Place{Root: docroot, Site: rel, Docroot: "."}}, nil
}

// rootPlace is a place whose root is the site's directory. A docroot above it is outside.
func rootPlace(root *os.Root, site *guard.Site) *place {
	p := &place{sitekind.Place{Root: root, Site: "."}}
	if rel, ok := site.DocrootInRoot(); ok {
		p.Docroot = rel
	}
	return p
}
