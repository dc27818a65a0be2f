package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// verifySite asks every web server for the site's page and whether the
// database answers with the credentials in the live settings, while visitors
// still get the maintenance page.
type verifySite struct{ *run }

func (verifySite) Name() string { return "verify_site" }

func (verifySite) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s verifySite) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		if err := s.permissions(ctx, server, web); err != nil {
			return err
		}
		if err := s.database(ctx, web); err != nil {
			return err
		}
		return s.page(ctx, server, web)
	})
}

// permissions reports what differs from what the site's kind wants. A restore
// brings back what the backup says, so it mends nothing.
func (s verifySite) permissions(ctx context.Context, server string, web Web) error {
	p, err := web.CheckPermissions(ctx, s.ref(), false)
	if err != nil {
		return err
	}
	for _, d := range p.Differences {
		s.log.Warn("%s: %s", server, d)
	}
	return nil
}

func (s verifySite) database(ctx context.Context, web Web) error {
	if s.basis.Site.DBServer == "" {
		return nil
	}
	p, err := web.ProbeDatabase(ctx, s.ref())
	if err != nil {
		return err
	}
	if p.Problem != "" {
		return errs.New(errs.Failed, "look at the database server and at the site's settings in the backup",
			"the restored site cannot use its database: %s", p.Problem)
	}
	return nil
}

func (s verifySite) page(ctx context.Context, server string, web Web) error {
	if s.basis.fresh(server) && s.external() {
		s.log.Log(model.LevelInfo, "%s: the page was not asked for: the virtual host of %s is yours to write; then run: sitekeep site verify %s", server, s.basis.Site.Name, s.basis.Site.Name)
		return nil
	}
	p, err := web.ProbeSite(ctx, s.ref(), s.task, "/")
	if err != nil {
		return err
	}
	s.log.Log(model.LevelInfo, "%s: the page answers %d (%d bytes)", server, p.Status, p.BodyBytes)
	if p.Problem == "" {
		return nil
	}
	if p.Maintenance && s.external() {
		s.log.Warn("%s: the page could not be asked for: nothing passes the site's own maintenance switch; look at it", server)
		return nil
	}
	if sameTrouble(p, s.basis.PageStatus) {
		s.log.Warn("%s: %s; so it was when the backup was made", server, p.Problem)
		return nil
	}
	return errs.New(errs.Failed, "look at the web server's and PHP's error logs; the site is as it was",
		"the restored site does not work: %s", p.Problem)
}

// sameTrouble: a site that was backed up while it answered 500 is restored to a site that answers 500, and one that
// could not be asked (its web server listens elsewhere, for instance) to one that cannot be asked.
func sameTrouble(p model.PageProbe, recorded int) bool {
	if recorded == backup.NoAnswer {
		return p.Status == 0
	}
	return recorded >= 400 && p.Status == recorded
}

func (verifySite) Undo(context.Context, saga.Memo) error { return nil }
