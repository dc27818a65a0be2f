package webui

import (
	"slices"
	"strings"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// cloneData is what the form of a clone offers.
type cloneData struct {
	Site         *sitekeepv1.Site
	Web, DB      []string // servers to choose from
	Backups      []*sitekeepv1.Backup
	SharesNoName bool // the site's directory does not have its name in it: a clone needs one of its own
}

// backupsToClone bounds the list to choose from; a clone is mostly made of what is there now.
const backupsToClone = 20

func (u *UI) cloneForm(r *request) error {
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	s := got.GetSite()
	list, err := u.backups.ListBackups(r.ctx, &sitekeepv1.ListBackupsRequest{Site: s.GetName(), PageSize: backupsToClone})
	if err != nil {
		return err
	}
	d := cloneData{Site: s, Backups: list.GetBackups(), SharesNoName: !strings.Contains(s.GetRoot(), s.GetName())}
	if d.Web, d.DB, err = u.serversByRole(r); err != nil {
		return err
	}
	return u.render(r, "clone", "Clone "+s.GetName(), d)
}

// serversByRole are the servers that have joined.
func (u *UI) serversByRole(r *request) (web, db []string, err error) {
	got, err := u.servers.ListServers(r.ctx, &sitekeepv1.ListServersRequest{})
	if err != nil {
		return nil, nil, err
	}
	for _, s := range got.GetServers() {
		if s.GetRevoked() {
			continue
		}
		if slices.Contains(s.GetRoles(), "web") {
			web = append(web, s.GetName())
		}
		if slices.Contains(s.GetRoles(), "db") {
			db = append(db, s.GetName())
		}
	}
	return web, db, nil
}

func (u *UI) clone(r *request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	got, err := u.restores.CloneSite(r.ctx, &sitekeepv1.CloneSiteRequest{
		Site: r.PathValue("site"), Backup: field("backup"),
		NewSite: &sitekeepv1.Site{Name: field("name"), WebServers: r.PostForm["web"], DbServer: field("db"), Root: field("root"), Docroot: field("docroot")},
	})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}
