package webui

import (
	"net/http"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// deployData is a site that is to be made of a backup.
type deployData struct {
	Backup        *sitekeepv1.Backup
	Site          *sitekeepv1.Site // as it was asked for, or as it may be meant
	OldName       string
	Web, DB       []string // servers to choose from
	Known         bool     // the backup's own site is under care
	Problem, Hint string   // why it cannot be as it was asked for
	Planned       *sitekeepv1.Site
	Plan          *sitekeepv1.PlanRestoreResponse // nil: it is not planned yet
}

// FilesOnly reports whether a database in the backup is left out.
func (d *deployData) FilesOnly() bool { return d.Backup.GetTables() > 0 && d.Site.GetDbServer() == "" }

// Form is the address of the form, filled in as it was.
func (d *deployData) Form() string {
	s := d.Site
	pairs := []string{"name", s.GetName(), "root", s.GetRoot(), "docroot", s.GetDocroot(), "db", s.GetDbServer(), "client", s.GetClient(), "old", d.OldName}
	for _, web := range s.GetWebServers() {
		pairs = append(pairs, "web", web)
	}
	return query(path("backups", d.Backup.GetId(), "deploy"), pairs...)
}

// deployment looks up what both the form and the plan show.
func (u *UI) deployment(r *request) (*deployData, error) {
	if err := r.ParseForm(); err != nil {
		return nil, errs.New(errs.Usage, "load the page again", "the form cannot be read: %w", err)
	}
	got, err := u.backups.GetBackup(r.ctx, &sitekeepv1.GetBackupRequest{Id: r.PathValue("backup")})
	if err != nil {
		return nil, err
	}
	d := &deployData{Backup: got.GetBackup(), OldName: field(r, "old")}
	if d.Site, d.Known, err = u.siteOfBackup(r, d.Backup.GetSite()); err != nil {
		return nil, err
	}
	if r.Form.Has("name") {
		d.Site = &sitekeepv1.Site{Name: strings.ToLower(field(r, "name")), WebServers: r.Form["web"], DbServer: field(r, "db"),
			Root: field(r, "root"), Docroot: field(r, "docroot"), Client: field(r, "client")}
	}
	d.Web, d.DB, err = u.serversByRole(r)
	return d, err
}

// siteOfBackup is what a new site may be like: the backup's own is not taken twice, and where it is gone, it comes back.
func (u *UI) siteOfBackup(r *request, name string) (like *sitekeepv1.Site, known bool, err error) {
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: name})
	switch {
	case errs.Is(err, errs.NotFound):
		return &sitekeepv1.Site{Name: name}, false, nil
	case err != nil:
		return nil, false, err
	}
	s := got.GetSite()
	return &sitekeepv1.Site{WebServers: s.GetWebServers(), DbServer: s.GetDbServer(), Client: s.GetClient()}, true, nil
}

func field(r *request, name string) string { return strings.TrimSpace(r.FormValue(name)) }

func (u *UI) deployForm(r *request) error {
	d, err := u.deployment(r)
	if err != nil {
		return err
	}
	return u.render(r, "deploy", deployTitle(d), d)
}

func deployTitle(d *deployData) string { return "A new site of the backup " + d.Backup.GetId() }

// deployPlan shows what would be done; what cannot be done is said beside the form.
func (u *UI) deployPlan(r *request) error {
	d, err := u.deployment(r)
	if err == nil {
		err = d.isNew()
	}
	if err != nil {
		return u.amend(r, d, err)
	}
	got, err := u.restores.DeployBackup(r.ctx, &sitekeepv1.DeployBackupRequest{DryRun: true, Backup: d.Backup.GetId(), Site: d.Site, OldName: d.OldName, FilesOnly: d.FilesOnly()})
	if err != nil {
		return u.amend(r, d, err)
	}
	d.Plan, d.Planned = got.GetPlan(), got.GetSite()
	return u.render(r, "deployplan", "What making "+d.Site.GetName()+" would do", d)
}

// isNew refuses what the API would take for a site that is under care already, which the backup would then replace.
func (d *deployData) isNew() error {
	switch {
	case d.Site.GetName() == "":
		return errs.New(errs.Usage, "give it the domain under which it is to be reached", "the new site has no name")
	case len(d.Site.GetWebServers()) == 0 || d.Site.GetRoot() == "":
		return errs.New(errs.Usage, "choose a web server and give the directory", "it is not said where %s is to be", d.Site.GetName())
	}
	return nil
}

// amend shows the form again with what was wrong. What its user cannot mend is an error like any other.
func (u *UI) amend(r *request, d *deployData, err error) error {
	status := statusOf(err)
	if d == nil || status == http.StatusInternalServerError || status == http.StatusForbidden {
		return err
	}
	d.Problem, d.Hint = sentence(err.Error()), errs.HintOf(err)
	u.show(r.w, r, status, "deploy", deployTitle(d), d)
	return nil
}

func (u *UI) deploy(r *request) error {
	d, err := u.deployment(r)
	if err == nil {
		err = d.isNew()
	}
	if err != nil {
		return u.amend(r, d, err)
	}
	got, err := u.restores.DeployBackup(r.ctx, &sitekeepv1.DeployBackupRequest{Backup: d.Backup.GetId(), Site: d.Site, OldName: d.OldName, FilesOnly: d.FilesOnly()})
	if err != nil {
		return u.amend(r, d, err)
	}
	return r.redirect("tasks", got.GetTask().GetId())
}
