package agent

import (
	"context"
	"errors"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const restoreBoth = "restore files and database together: that needs nothing of the live settings"

// CarrySettings lets restored files go on with the live database. The password goes from one file to the other.
func (s *settingsService) CarrySettings(ctx context.Context, req *agentv1.CarrySettingsRequest) (*agentv1.CarrySettingsResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	live, err := livePlace(site)
	if err != nil {
		return nil, err
	}
	defer live.Close()
	kind, settings, err := s.readSettings(ctx, site, live)
	if errors.Is(err, sitekind.ErrNoSettings) {
		return &agentv1.CarrySettingsResponse{}, nil
	}
	if err != nil {
		return nil, errs.New(errs.Precondition, restoreBoth, "the live settings of %s cannot be read: %w", site.Name, err)
	}
	staged, err := s.place(site, req.GetTask())
	if err != nil {
		return nil, err
	}
	defer staged.Close()
	return carry(ctx, kind, settings, staged)
}

// carry refuses settings whose tables have other names: the files would not find what is in the live database.
func carry(ctx context.Context, kind sitekind.Kind, settings sitekind.Settings, staged *place) (*agentv1.CarrySettingsResponse, error) {
	old, err := kind.ReadSettings(ctx, staged.Place)
	if err != nil {
		return nil, settingsError(err)
	}
	if old.Prefix != settings.Prefix {
		return nil, errs.New(errs.Precondition, restoreBoth,
			"the names of the site's tables begin with %q in the backup and with %q now", old.Prefix, settings.Prefix)
	}
	if old.Env != settings.Env {
		return nil, errs.New(errs.Precondition, restoreBoth,
			"the credentials stand in other places in the backup and now: in the settings, or in the web server's environment")
	}
	if err := kind.WriteSettings(ctx, staged.Place, settings); err != nil {
		return nil, settingsError(err)
	}
	return &agentv1.CarrySettingsResponse{Settings: settingsToProto(settings, "")}, nil
}
