package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// addAtOnce is how many sites are added at the same time: each is looked at on its servers.
const addAtOnce = 8

func newSiteDiscoverCmd(a *app) *cobra.Command {
	q := &sitekeepv1.DiscoverSitesRequest{}
	var add bool
	var owner string
	cmd := &cobra.Command{
		Use:   "discover SERVER",
		Short: "Find the sites of a web server, and put them under care",
		Long: `Find the sites of a web server: those of its virtual hosts, and what lies below the directories that its agent may
read. Settings are read and nothing is run; passwords stay on the server. Nothing is changed there.

With --add all of them are put under care that can be. A virtual host that Sitekeep did not write stays yours
(external). Ends with 6 if there is something that you should know, or if some could not be added.`,
		Example: `  sitekeep site discover web1
  sitekeep site discover web1 --sizes
  sitekeep site discover web1 --add`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(serverNames),
	}
	cmd.Flags().BoolVar(&add, "add", false, "put all sites under care that have no obstacle")
	cmd.Flags().BoolVar(&q.Sizes, "sizes", false, "measure files and databases too; this reads every directory")
	cmd.Flags().StringVar(&owner, "client", "", "the `customer` that owns the sites that are added")
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		q.Server = args[0]
		f := &findings{app: a, sizes: q.Sizes}
		if err := f.read(ctx, c, q); err != nil {
			return err
		}
		if !add {
			return f.list()
		}
		f.add(ctx, c, owner)
		return errors.Join(ctx.Err(), f.added())
	})
	return cmd
}

// findings is what was found, and what has become of it.
type findings struct {
	app      *app
	sizes    bool
	sites    []*sitekeepv1.DiscoveredSite
	warnings []string
	// outcomes are those of adding, in the order of sites.
	outcomes []addition
}

// addition is what has become of one site: it is added, was known, or is left out.
type addition struct {
	word, why string
	failed    bool
}

func (f *findings) read(ctx context.Context, c *client, q *sitekeepv1.DiscoverSitesRequest) error {
	stream, err := c.sites.DiscoverSites(ctx, q)
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.GetSite() != nil:
			f.sites = append(f.sites, m.GetSite())
		default:
			f.warnings = append(f.warnings, m.GetWarning())
		}
	}
}

// list prints what was found.
func (f *findings) list() error {
	head := "NAME|KIND|VERSION|ROOT|DB|DATABASE|STATE"
	if f.sizes {
		head = "NAME|KIND|VERSION|ROOT|DB|DATABASE|FILES|DATA|STATE"
	}
	err := printList(f.app, f.sites, head, func(d *sitekeepv1.DiscoveredSite) []string {
		s := d.GetSite()
		row := []string{orDash(s.GetName()), orDash(s.GetKind()), orDash(d.GetVersion()), s.GetRoot(), orDash(s.GetDbServer()), orDash(s.GetDatabase())}
		if f.sizes {
			row = append(row, bytesize.Text(d.GetFileBytes()), bytesize.Text(d.GetDatabaseBytes()))
		}
		return append(row, foundState(d))
	})
	if err != nil {
		return err
	}
	return f.app.warnings(fmt.Sprintf("%s found", plural(int64(len(f.sites)), "site")), f.remarks())
}

func foundState(d *sitekeepv1.DiscoveredSite) string {
	switch {
	case d.GetKnownAs() == d.GetSite().GetName() && d.GetKnownAs() != "":
		return "known"
	case d.GetKnownAs() != "":
		return "known as " + d.GetKnownAs()
	case d.GetObstacle() != "":
		return "obstacle: " + d.GetObstacle()
	}
	return "new"
}

// remarks are the warnings of the search and those of sites that are not under care already.
func (f *findings) remarks() []string {
	list := append([]string(nil), f.warnings...)
	for _, d := range f.sites {
		for _, w := range d.GetWarnings() {
			if d.GetKnownAs() == "" {
				list = append(list, titleOf(d)+": "+w)
			}
		}
	}
	return list
}

func titleOf(d *sitekeepv1.DiscoveredSite) string {
	if name := d.GetSite().GetName(); name != "" {
		return name
	}
	return d.GetSite().GetRoot()
}

// add puts what can be under care, several at a time. One that fails does not stop the others.
func (f *findings) add(ctx context.Context, c *client, owner string) {
	f.outcomes = make([]addition, len(f.sites))
	remarks := make([][]string, len(f.sites))
	var group errgroup.Group
	group.SetLimit(addAtOnce)
	for i, d := range f.sites {
		switch {
		case d.GetKnownAs() != "":
			f.outcomes[i] = addition{word: foundState(d)}
			continue
		case d.GetObstacle() != "":
			f.outcomes[i] = addition{word: "left out", why: d.GetObstacle(), failed: true}
			continue
		}
		group.Go(func() error {
			site := d.GetSite()
			site.Client = owner
			r, err := c.sites.CreateSite(ctx, &sitekeepv1.CreateSiteRequest{Site: site})
			if err != nil {
				f.outcomes[i] = addition{word: "left out", why: reason(err), failed: true}
				return nil
			}
			d.KnownAs, f.outcomes[i], remarks[i] = site.GetName(), addition{word: "added"}, append(d.GetWarnings(), r.GetWarnings()...)
			return nil
		})
	}
	_ = group.Wait() // None fails: each has its outcome.
	for i, d := range f.sites {
		for _, w := range remarks[i] {
			f.warnings = append(f.warnings, titleOf(d)+": "+w)
		}
	}
}

func reason(err error) string {
	if hint := errs.HintOf(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}

// added prints what has become of each site.
func (f *findings) added() error {
	added, failed := 0, 0
	next := 0
	for i, o := range f.outcomes {
		if o.failed {
			failed++
			f.sites[i].Obstacle = o.why
		}
		if o.word == "added" {
			added++
		}
	}
	err := printList(f.app, f.sites, "NAME|KIND|ROOT|DB|DATABASE|RESULT", func(d *sitekeepv1.DiscoveredSite) []string {
		s, o := d.GetSite(), f.outcomes[next]
		next++
		return []string{orDash(s.GetName()), orDash(s.GetKind()), s.GetRoot(), orDash(s.GetDbServer()), orDash(s.GetDatabase()),
			strings.TrimSuffix(o.word+": "+o.why, ": ")}
	})
	if err != nil {
		return err
	}
	done := fmt.Sprintf("%s added", plural(int64(added), "site"))
	if failed > 0 {
		done += fmt.Sprintf(", %d left out", failed)
	}
	err = f.app.warnings(done, f.warnings)
	switch {
	case err == nil && failed > 0:
		err = &warned{text: done}
	case err == nil:
		fmt.Fprintln(f.app.err, done)
	}
	return err
}
