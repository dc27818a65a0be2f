package webui

import (
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func (u *UI) disableForm(r *request) error {
	got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	return u.render(r, "disable", "Disable "+got.GetSite().GetName(), got.GetSite())
}

// disable takes a site offline if its name was typed.
func (u *UI) disable(r *request) error {
	if err := confirmed(r); err != nil {
		return err
	}
	got, err := u.sites.DisableSite(r.ctx, &sitekeepv1.DisableSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

func (u *UI) enable(r *request) error {
	got, err := u.sites.EnableSite(r.ctx, &sitekeepv1.EnableSiteRequest{Name: r.PathValue("site")})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}
