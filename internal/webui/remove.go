package webui

import (
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
	Last  *timestamppb.Timestamp // when the newest backup that is not a restore's was made; nil: there is none
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
	for _, b := range list.GetBackups() {
		if b.GetOrigin() != "safety" { // which is of what a restore has replaced
			d.Last = b.GetCreatedAt()
			d.Fresh = u.o.Now().Sub(d.Last.AsTime()) < lastBackupAge
			break
		}
	}
	return d, err
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
	if _, err := u.sites.DeleteSite(r.ctx, &sitekeepv1.DeleteSiteRequest{Name: d.Site.GetName()}); err != nil {
		return err
	}
	return r.redirect()
}
