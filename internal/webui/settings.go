package webui

import (
	"strings"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// settingsData is what is recorded of a site, in a form.
type settingsData struct{ Site *sitekeepv1.Site }

func (u *UI) settingsForm(r *request) error {
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	return u.render(r, "settings", "Settings of "+got.GetSite().GetName(), settingsData{got.GetSite()})
}

// setSettings records what the form has. What is on the servers stays; where a site is moved to is a migration.
func (u *UI) setSettings(r *request) error {
	s := &sitekeepv1.Site{
		Name: r.PathValue("site"), Aliases: strings.Fields(r.PostFormValue("aliases")), Client: strings.TrimSpace(r.PostFormValue("client")),
		Excludes: filledLines(r.PostFormValue("excludes")), ExcludeCaches: r.PostFormValue("exclude_caches") != "",
		BlankCredentials: r.PostFormValue("blank_credentials") != "",
		StructureOnly:    filledLines(r.PostFormValue("structure_only")), AllRows: r.PostFormValue("all_rows") != "",
	}
	fields := []string{"aliases", "client", "excludes", "exclude_caches", "blank_credentials"}
	if r.PostForm.Has("structure_only") { // the form of a site without a database has it not
		fields = append(fields, "structure_only", "all_rows")
	}
	if r.PostForm.Has("maintenance") { // the form of a site with a managed virtual host has it not
		s.Maintenance, fields = r.PostFormValue("maintenance"), append(fields, "maintenance")
	}
	_, err := u.sites.UpdateSite(r.ctx, &sitekeepv1.UpdateSiteRequest{Site: s, UpdateMask: &fieldmaskpb.FieldMask{Paths: fields}})
	if err != nil {
		return err
	}
	return r.redirect("sites", s.GetName())
}

// filledLines are the lines that have something on them: patterns may hold spaces.
func filledLines(text string) (out []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
