package webui

import (
	"errors"
	"io"
	"net/url"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// siteData is what a site's page shows.
type siteData struct {
	Site    *sitekeepv1.Site
	Undo    *timestamppb.Timestamp // until when the last restore can be taken back
	Backups []*sitekeepv1.Backup
	Older   string // the address of older ones; empty if there are none
	Newest  bool   // these are the newest ones
	Tasks   []*sitekeepv1.Task
	Plot    *plot
}

const (
	backupsOfPage = 100
	tasksOfPage   = 10
)

func (u *UI) site(r *request) error {
	name := r.PathValue("site")
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: name})
	if err != nil {
		return err
	}
	before := r.FormValue("before")
	backups, err := u.backups.ListBackups(r.ctx, &sitekeepv1.ListBackupsRequest{Site: name, PageSize: backupsOfPage, PageToken: before})
	if err != nil {
		return err
	}
	tasks, err := u.tasks.ListTasks(r.ctx, &sitekeepv1.ListTasksRequest{Site: name, PageSize: tasksOfPage})
	if err != nil {
		return err
	}
	d := siteData{
		Site: got.GetSite(), Undo: got.GetUndoUntil(), Backups: backups.GetBackups(), Newest: before == "",
		Tasks: tasks.GetTasks(), Plot: newPlot(backups.GetBackups()),
	}
	if next := backups.GetNextPageToken(); next != "" {
		d.Older = path("sites", name) + "?before=" + url.QueryEscape(next)
	}
	return u.render(r, "site", name, d)
}

func (u *UI) backupForm(r *request) error {
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	return u.render(r, "backup", "Back up "+got.GetSite().GetName(), got.GetSite())
}

func (u *UI) backup(r *request) error {
	got, err := u.backups.CreateBackup(r.ctx, &sitekeepv1.CreateBackupRequest{Site: r.PathValue("site"), Description: r.PostFormValue("description"), Full: r.PostFormValue("full") != ""})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

func (u *UI) verify(r *request) error {
	got, err := u.sites.VerifySite(r.ctx, &sitekeepv1.VerifySiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

// drill shows that the site's last good backup can be restored. The site is looked up first: the API takes patterns of names.
func (u *UI) drill(r *request) error {
	name := r.PathValue("site")
	if _, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: name}); err != nil {
		return err
	}
	got, err := u.restores.DrillSites(r.ctx, &sitekeepv1.DrillSitesRequest{Names: []string{name}})
	if err != nil {
		return err
	}
	for _, no := range got.GetRefused() {
		return errs.New(errs.ParseKind(no.GetErrorKind()), no.GetHint(), "drill of %s: %s", no.GetSite(), no.GetError())
	}
	return r.redirect("tasks", got.GetTasks()[0].GetId())
}

func (u *UI) undo(r *request) error {
	if err := confirmed(r); err != nil {
		return err
	}
	got, err := u.restores.UndoRestore(r.ctx, &sitekeepv1.UndoRestoreRequest{Site: r.PathValue("site")})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

// confirmed refuses what changes a live site if its name was not typed.
func confirmed(r *request) error {
	if name := r.PathValue("site"); r.PostFormValue("confirm") != name {
		return errs.New(errs.Usage, "go back and type "+name, "the name that was typed is not that of the site; nothing was done")
	}
	return nil
}

// each reads a stream of the API to its end.
func each[M any](recv func() (M, error), do func(M) error) error {
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(m)
		}
		if err != nil {
			return err
		}
	}
}
