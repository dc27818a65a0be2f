package webui

import (
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// scheduleData is a schedule in a form.
type scheduleData struct {
	*sitekeepv1.Schedule
	New  bool
	From string // the site whose page led here
}

// Scope is which sites it is for: "all", "client" or "sites".
func (d scheduleData) Scope() string {
	switch {
	case d.GetAll():
		return "all"
	case d.GetClient() != "":
		return "client"
	}
	return "sites"
}

func (u *UI) scheduleForm(r *request) error {
	name, site := r.FormValue("name"), r.FormValue("site")
	if name != "" {
		s, err := u.schedule(r, name)
		if err != nil {
			return err
		}
		return u.render(r, "schedule", "Schedule "+name, scheduleData{Schedule: s, From: site})
	}
	s := &sitekeepv1.Schedule{Cron: "0 3 * * *", Zone: zoneOf(r.Request).String()}
	if site != "" {
		s.Name, s.Sites = site, []string{site}
	}
	return u.render(r, "schedule", "New schedule", scheduleData{Schedule: s, New: true, From: site})
}

func (u *UI) schedule(r *request, name string) (*sitekeepv1.Schedule, error) {
	list, err := u.runs.ListSchedules(r.ctx, &sitekeepv1.ListSchedulesRequest{Name: name})
	if err != nil {
		return nil, err
	}
	return list.GetSchedules()[0], nil
}

// setSchedule makes a schedule, or changes in one what the form has and nothing else.
func (u *UI) setSchedule(r *request) error {
	s, err := u.scheduleToSet(r, strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("new") != "")
	if err != nil {
		return err
	}
	if err := readSchedule(r, s); err != nil {
		return err
	}
	if _, err := u.runs.SetSchedule(r.ctx, &sitekeepv1.SetScheduleRequest{Schedule: s}); err != nil {
		return err
	}
	return backToPolicy(r)
}

// scheduleToSet is a schedule as it is, or a new one: a name that is taken by mistake replaces nothing.
func (u *UI) scheduleToSet(r *request, name string, isNew bool) (*sitekeepv1.Schedule, error) {
	if name == "" {
		return nil, errs.New(errs.Usage, "go back and give it one, such as nightly", "the schedule has no name")
	}
	s, err := u.schedule(r, name)
	switch {
	case !isNew:
		return s, err
	case err == nil:
		return nil, errs.New(errs.Exists, "go back and give it another name, or change that one", "there is a schedule %q already", name)
	case errs.Is(err, errs.NotFound):
		return &sitekeepv1.Schedule{Name: name}, nil
	}
	return nil, err
}

func readSchedule(r *request, s *sitekeepv1.Schedule) (err error) {
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	s.Cron, s.Zone, s.Window, s.Format, s.Kind = field("cron"), field("zone"), field("window"), field("format"), field("kind")
	s.SkipMissed, s.Disabled = field("skip_missed") != "", field("disabled") != ""
	s.All, s.Client, s.Sites = false, "", nil
	switch field("scope") {
	case "all":
		s.All = true
	case "client":
		s.Client = field("client")
	default:
		s.Sites = strings.Fields(r.PostFormValue("sites"))
	}
	s.Spread, err = parseLength(field("spread"))
	return err
}

func (u *UI) deleteSchedule(r *request) error {
	if _, err := u.runs.DeleteSchedule(r.ctx, &sitekeepv1.DeleteScheduleRequest{Name: r.PostFormValue("name")}); err != nil {
		return err
	}
	return backToPolicy(r)
}

// backToPolicy leads to the page from where the form was asked for.
func backToPolicy(r *request) error {
	return r.redirectTo((&retentionData{Site: r.PostFormValue("from")}).Action())
}
