package webui

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// restoreData is the list to choose a backup from.
type restoreData struct {
	Site    string
	Backups []*sitekeepv1.Backup
	Chosen  string
	Undo    bool
}

func (u *UI) restoreForm(r *request) error {
	name := r.PathValue("site")
	list, err := u.backups.ListBackups(r.ctx, &sitekeepv1.ListBackupsRequest{Site: name})
	if err != nil {
		return err
	}
	d := restoreData{Site: name, Backups: list.GetBackups(), Chosen: r.FormValue("backup")}
	if d.Chosen == "" && len(d.Backups) > 0 {
		d.Chosen = d.Backups[max(slices.IndexFunc(d.Backups, showsSite), 0)].GetId()
	}
	return u.render(r, "restore", "Restore "+name, d)
}

// planData is what a restore would do.
type planData struct {
	Site, Part string
	Backup     *sitekeepv1.Backup
	Plan       *sitekeepv1.PlanRestoreResponse
	Paths      []selected
	Tables     []string
}

// selected is a path in a backup, in a form that HTML can carry whatever its bytes are, and as it is shown.
type selected struct{ Coded, Shown string }

func (u *UI) restorePlan(r *request) error {
	q, err := planOf(r)
	if err != nil {
		return err
	}
	d := planData{Site: q.GetSite(), Part: r.FormValue("part"), Tables: q.GetTables()}
	for _, p := range r.Form["path"] {
		d.Paths = append(d.Paths, selected{p, shownPath(p)})
	}
	if d.Plan, err = u.restores.PlanRestore(r.ctx, q); err != nil {
		return err
	}
	got, err := u.backups.GetBackup(r.ctx, &sitekeepv1.GetBackupRequest{Id: d.Plan.GetBackup()})
	if err != nil {
		return err
	}
	d.Backup = got.GetBackup()
	return u.render(r, "plan", "Restore "+d.Site, d)
}

// planOf reads what is to be restored from a form.
func planOf(r *request) (*sitekeepv1.PlanRestoreRequest, error) {
	if err := r.ParseForm(); err != nil {
		return nil, errs.New(errs.Usage, "choose fewer", "the form cannot be read: %w", err)
	}
	part := r.FormValue("part")
	q := &sitekeepv1.PlanRestoreRequest{Site: r.PathValue("site"), Backup: r.FormValue("backup"), FilesOnly: part == "files", DbOnly: part == "database"}
	for _, coded := range r.Form["path"] {
		raw, err := decodePath(coded)
		if err != nil {
			return nil, err
		}
		q.Paths = append(q.Paths, raw)
	}
	q.Tables = r.Form["table"]
	return q, nil
}

func (u *UI) restore(r *request) error {
	if err := confirmed(r); err != nil {
		return err
	}
	q, err := planOf(r)
	if err != nil {
		return err
	}
	got, err := u.restores.RestoreSite(r.ctx, &sitekeepv1.RestoreSiteRequest{
		Site: q.GetSite(), Backup: q.GetBackup(), FilesOnly: q.GetFilesOnly(), DbOnly: q.GetDbOnly(), Paths: q.GetPaths(), Tables: q.GetTables(),
	})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

// codePath makes a path of any bytes fit for HTML and addresses.
func codePath(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func decodePath(coded string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(coded)
	if err != nil {
		return nil, errs.New(errs.Usage, "begin at the top of the backup", "%q is not the address of a path", coded)
	}
	return raw, nil
}

func shownPath(coded string) string {
	raw, _ := decodePath(coded) // planOf has refused what is none
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}
