package webui

import (
	"errors"
	"io"
	"net/url"
	"slices"

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
	Open    *sitekeepv1.Task // waits, runs, or needs somebody; nil for none
	Plot    *plot
}

const (
	backupsOfPage = 100 // and of a plot
	newestOfPage  = 15  // more would hide what comes below
	tasksOfPage   = 10
)

func (u *UI) site(r *request) error {
	name := r.PathValue("site")
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: name})
	if errs.Is(err, errs.NotFound) {
		return u.goneSite(r, name, err)
	}
	if err != nil {
		return err
	}
	d := siteData{Site: got.GetSite(), Undo: got.GetUndoUntil(), Newest: r.FormValue("before") == ""}
	size := int32(backupsOfPage)
	if d.Newest {
		size = newestOfPage
	}
	if d.Backups, d.Older, err = u.backupsFrom(r, name, size); err != nil {
		return err
	}
	if err := u.drawPlot(r, name, &d); err != nil {
		return err
	}
	tasks, err := u.tasks.ListTasks(r.ctx, &sitekeepv1.ListTasksRequest{Site: name, PageSize: tasksOfPage})
	if err != nil {
		return err
	}
	d.Tasks = tasks.GetTasks()
	if at := slices.IndexFunc(d.Tasks, isOpen); at >= 0 {
		d.Open = d.Tasks[at]
	}
	return u.render(r, "site", name, d)
}

// isOpen reports whether a task holds its site.
func isOpen(t *sitekeepv1.Task) bool {
	return !final(t.GetState()) || t.GetState() == sitekeepv1.TaskState_TASK_STATE_NEEDS_OPERATOR
}

// backupsFrom lists a page of a site's backups, and the address of older ones.
func (u *UI) backupsFrom(r *request, site string, size int32) (list []*sitekeepv1.Backup, older string, err error) {
	got, err := u.backups.ListBackups(r.ctx, &sitekeepv1.ListBackupsRequest{Site: site, PageSize: size, PageToken: r.FormValue("before")})
	if next := got.GetNextPageToken(); next != "" {
		older = path("sites", site) + "?before=" + url.QueryEscape(next)
	}
	return got.GetBackups(), older, err
}

// drawPlot draws the listed backups, and of the newest as many as are worth a look.
func (u *UI) drawPlot(r *request, site string, d *siteData) error {
	if !d.Newest || d.Older == "" {
		d.Plot = newPlot(d.Backups)
		return nil
	}
	got, err := u.backups.ListBackups(r.ctx, &sitekeepv1.ListBackupsRequest{Site: site, PageSize: backupsOfPage})
	d.Plot = newPlot(got.GetBackups())
	return err
}

// goneData is what is left of a site that was taken out of care.
type goneData struct {
	Name    string
	Backups []*sitekeepv1.Backup
	Older   string
}

// goneSite shows the backups of a site that is not under care any more; notFound if there are none that the user may see.
func (u *UI) goneSite(r *request, name string, notFound error) error {
	list, older, err := u.backupsFrom(r, name, backupsOfPage)
	switch {
	case errs.Is(err, errs.NotFound) || err == nil && len(list) == 0:
		return notFound
	case err != nil:
		return err
	}
	return u.render(r, "gone", name, goneData{name, list, older})
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
