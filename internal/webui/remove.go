package webui

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const (
	// lastDescription is that of a site's last backup, as the command line and Aegir word it.
	lastDescription = "Pre-delete backup"
	// lastBackupAge is how old a backup may be that counts as the last one.
	lastBackupAge = time.Hour
	// thenRemove marks the page of a backup after which the site is to be removed.
	thenRemove = "remove"
)

// removeData is what somebody should know who takes a site out of care.
type removeData struct {
	Site  *sitekeepv1.Site
	Last  *timestamppb.Timestamp // when the newest backup of the site itself was made; nil: there is none
	Fresh bool                   // nothing but a moment has passed since
}

func (u *UI) removeForm(r *request) error {
	d, err := u.toRemove(r)
	if err != nil {
		return err
	}
	return u.render(r, "remove", "Take "+d.Site.GetName()+" out of care", d)
}

func (u *UI) toRemove(r *request) (*removeData, error) {
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return nil, err
	}
	d := &removeData{Site: got.GetSite()}
	list, err := u.backups.ListBackups(r.ctx, &sitekeepv1.ListBackupsRequest{Site: d.Site.GetName(), PageSize: backupsOfPage})
	if at := slices.IndexFunc(list.GetBackups(), showsSite); at >= 0 {
		d.Last = list.GetBackups()[at].GetCreatedAt()
		d.Fresh = u.o.Now().Sub(d.Last.AsTime()) < lastBackupAge
	}
	return d, err
}

// showsSite reports whether a backup is of the site as it was meant to be: a safety backup is of what a restore has
// replaced, and an imported one was made elsewhere.
func showsSite(b *sitekeepv1.Backup) bool {
	return b.GetOrigin() != "safety" && b.GetOrigin() != "imported"
}

// backupToRemove takes the last backup. Its page leads back to the removal when it has succeeded.
func (u *UI) backupToRemove(r *request) error {
	got, err := u.backups.CreateBackup(r.ctx, &sitekeepv1.CreateBackupRequest{Site: r.PathValue("site"), Description: lastDescription})
	if err != nil {
		return err
	}
	return r.redirectTo(query(path("tasks", got.GetTask().GetId()), "then", thenRemove))
}

// removeSite takes a site out of care: with a backup of the last hour, or for somebody who wants none.
func (u *UI) removeSite(r *request) error {
	if err := confirmed(r); err != nil {
		return err
	}
	d, err := u.toRemove(r)
	if err != nil {
		return err
	}
	if !d.Fresh && r.PostFormValue("no_backup") == "" {
		return errs.New(errs.Precondition, "go back and back it up first, or say that you want no last backup",
			"site %s has no backup of the last hour; it stays under care", d.Site.GetName())
	}
	got, err := u.sites.DeleteSite(r.ctx, &sitekeepv1.DeleteSiteRequest{Name: d.Site.GetName()})
	switch {
	case err != nil:
		return err
	case got.GetBackupsKept() > 0:
		return r.redirect("sites", d.Site.GetName())
	}
	return r.redirect()
}
