package webui

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// mostDecisions bounds a page; the command line has them all.
const mostDecisions = 500

// retentionData is what is kept of the backups of a site, of a client's sites, or of all, and what that means now.
type retentionData struct {
	Site      string // empty: for a client, or for all
	Client    string // whose page it is
	Owner     string // the client whose setting holds where there is none for the site
	Own       bool   // the setting is of this very scope
	From      string // whose setting holds, in words
	rank      int    // how particular that is
	Shown     *sitekeepv1.Retention
	Proposed  bool // Shown is not set yet
	Decisions []*sitekeepv1.PruneDecision
	More      int64
	Summary   *sitekeepv1.PruneSummary
	Schedules []*sitekeepv1.Schedule
	Clients   []clientRetention // on the page for all
}

// clientRetention is a client and what is kept of its sites' backups.
type clientRetention struct {
	*sitekeepv1.Client
	Set *sitekeepv1.Retention // nil: nothing of its own
}

// counts are the numbers of a setting, by their names in forms.
func counts(p *sitekeepv1.Retention) []count {
	return []count{
		{"last", "The last", &p.KeepLast}, {"hourly", "Hourly", &p.KeepHourly}, {"daily", "Daily", &p.KeepDaily},
		{"weekly", "Weekly", &p.KeepWeekly}, {"monthly", "Monthly", &p.KeepMonthly}, {"yearly", "Yearly", &p.KeepYearly},
	}
}

// count is a number of backups to keep.
type count struct {
	Name, Label string
	Value       *int32
}

// Counts are the numbers of what is shown.
func (d *retentionData) Counts() []count { return counts(d.Shown) }

// Action is the address of the page and its forms.
func (d *retentionData) Action() string {
	switch {
	case d.Site != "":
		return path("sites", d.Site, "retention")
	case d.Client != "":
		return path("clients", d.Client, "retention")
	}
	return "/retention"
}

// Scope is which sites the page is about, in words.
func (d *retentionData) Scope() string {
	switch {
	case d.Site != "":
		return "this site"
	case d.Client != "":
		return "this client"
	}
	return "all sites"
}

// FromClient reports whether a setting of the site's client holds.
func (d *retentionData) FromClient() bool { return d.Site != "" && d.rank == rankClient }

// BacksUp reports whether any of the schedules makes backups.
func (d *retentionData) BacksUp() bool {
	return slices.ContainsFunc(d.Schedules, func(s *sitekeepv1.Schedule) bool { return !s.GetDisabled() && s.GetKind() != scheduledDrill })
}

func (u *UI) retention(r *request) error {
	d, err := u.standing(r)
	if err != nil {
		return err
	}
	if r.FormValue("preview") != "" {
		if err := readRetention(r, d.Shown); err != nil {
			return err
		}
		d.Proposed = true
	}
	if err := u.preview(r, d); err != nil {
		return err
	}
	title := "Schedules and retention"
	switch {
	case d.Site != "":
		title = "Schedule and retention of " + d.Site
	case d.Client != "":
		title = "Retention of the client " + d.Client
	}
	return u.render(r, "retention", title, d)
}

// standing is what is set now.
func (u *UI) standing(r *request) (*retentionData, error) {
	d := &retentionData{Site: r.PathValue("site"), Client: r.PathValue("client")}
	if err := u.findOwner(r, d); err != nil {
		return nil, err
	}
	list, err := u.policy.ListRetentions(r.ctx, &sitekeepv1.ListRetentionsRequest{})
	if err != nil {
		return nil, err
	}
	if d.Action() == "/retention" {
		if err := u.addClients(r, d, list.GetRetentions()); err != nil {
			return nil, err
		}
	}
	d.choose(list.GetRetentions())
	if d.Client == "" {
		d.Schedules, err = u.schedulesOf(r, d.Site)
	}
	return d, err
}

// findOwner finds the client whose setting holds; errs.NotFound for a site or a client that is not there.
func (u *UI) findOwner(r *request, d *retentionData) error {
	switch {
	case d.Site != "":
		got, err := u.sites.GetSite(r.ctx, &sitekeepv1.GetSiteRequest{Name: d.Site})
		d.Owner = got.GetSite().GetClient()
		return err
	case d.Client != "":
		got, err := u.clients.GetClient(r.ctx, &sitekeepv1.GetClientRequest{Name: d.Client})
		d.Owner = got.GetClient().GetName()
		return err
	}
	return nil
}

// addClients lists the clients with what is set for each.
func (u *UI) addClients(r *request, d *retentionData, set []*sitekeepv1.Retention) error {
	got, err := u.clients.ListClients(r.ctx, &sitekeepv1.ListClientsRequest{})
	for _, c := range got.GetClients() {
		one := clientRetention{Client: c}
		for _, p := range set {
			if p.GetSite() == "" && p.GetClient() == c.GetName() && keepsSome(p) {
				one.Set = p
			}
		}
		d.Clients = append(d.Clients, one)
	}
	return err
}

// How particular a setting is; 0 for none that holds.
const (
	rankAll = iota + 1
	rankClient
	rankSite
)

// choose takes the most particular setting, whole, as Retention says.
func (d *retentionData) choose(list []*sitekeepv1.Retention) {
	d.Shown = &sitekeepv1.Retention{Site: d.Site, Client: d.Client}
	budget := int64(0)
	for _, one := range list {
		rank, from := 0, ""
		switch {
		case one.GetSite() != "" && one.GetSite() == d.Site:
			rank, from = rankSite, "this site"
		case d.Owner != "" && one.GetSite() == "" && one.GetClient() == d.Owner:
			if d.Client != "" {
				budget = one.GetMaxSize()
			}
			if keepsSome(one) {
				rank, from = rankClient, "the client "+d.Owner
			}
		case one.GetSite() == "" && one.GetClient() == "":
			rank, from = rankAll, "all sites"
		}
		if rank <= d.rank {
			continue
		}
		d.rank, d.From = rank, from
		d.Own = one.GetSite() == d.Site && one.GetClient() == d.Client
		d.adopt(one)
	}
	if d.Client != "" {
		d.Shown.MaxSize = budget // which stays as it is, whatever is kept
	}
}

// adopt shows a setting as one of this scope; a budget stays with the scope that has it.
func (d *retentionData) adopt(one *sitekeepv1.Retention) {
	d.Shown = one
	if !d.Own {
		d.Shown.Site, d.Shown.Client, d.Shown.MaxSize = d.Site, d.Client, 0
	}
}

func keepsSome(p *sitekeepv1.Retention) bool {
	for _, c := range counts(p) {
		if *c.Value > 0 {
			return true
		}
	}
	return false
}

// readRetention takes over what a form says.
func readRetention(r *request, p *sitekeepv1.Retention) error {
	for _, c := range counts(p) {
		n, err := strconv.ParseInt("0"+strings.TrimSpace(r.FormValue(c.Name)), 10, 32)
		if err != nil {
			return errs.New(errs.Usage, "give 0 or more", "%q is no number of backups", r.FormValue(c.Name))
		}
		*c.Value = int32(n)
	}
	var err error
	if p.MinAge, err = parseLength(r.FormValue("min_age")); err != nil {
		return err
	}
	if p.KeepSafety, err = parseLength(r.FormValue("keep_safety")); err != nil {
		return err
	}
	p.Zone = strings.TrimSpace(r.FormValue("zone"))
	return nil
}

// preview asks what would go.
func (u *UI) preview(r *request, d *retentionData) error {
	q := &sitekeepv1.PlanPruneRequest{Site: d.Site, Client: d.Client}
	if d.Proposed {
		q.Proposed = d.Shown
	}
	stream, err := u.policy.PlanPrune(r.ctx, q)
	if err != nil {
		return err
	}
	return each(stream.Recv, func(m *sitekeepv1.PlanPruneResponse) error {
		for _, one := range m.GetDecisions() {
			d.decide(one)
		}
		if m.GetSummary() != nil {
			d.Summary = m.GetSummary()
		}
		return nil
	})
}

// decide shows a decision; where all sites are shown, only what goes.
func (d *retentionData) decide(one *sitekeepv1.PruneDecision) {
	switch {
	case d.Site == "" && one.GetKeep():
	case len(d.Decisions) == mostDecisions:
		d.More++
	default:
		d.Decisions = append(d.Decisions, one)
	}
}

func (u *UI) setRetention(r *request) error {
	d, err := u.standing(r)
	if err != nil {
		return err
	}
	if err := readRetention(r, d.Shown); err != nil {
		return err
	}
	if _, err := u.policy.SetRetention(r.ctx, &sitekeepv1.SetRetentionRequest{Retention: d.Shown}); err != nil {
		return err
	}
	return r.redirectTo(d.Action())
}

// deleteRetention takes back what is kept. A client's budget is no part of that, and stays.
func (u *UI) deleteRetention(r *request) error {
	d, err := u.standing(r)
	if err != nil {
		return err
	}
	if d.Client != "" && d.Shown.GetMaxSize() > 0 {
		_, err = u.policy.SetRetention(r.ctx, &sitekeepv1.SetRetentionRequest{Retention: &sitekeepv1.Retention{Client: d.Client, MaxSize: d.Shown.GetMaxSize()}})
	} else {
		_, err = u.policy.DeleteRetention(r.ctx, &sitekeepv1.DeleteRetentionRequest{Site: d.Site, Client: d.Client})
	}
	if err != nil {
		return err
	}
	return r.redirectTo(d.Action())
}

// schedulesOf are the schedules for a site, each with its own next run; all of them for no site.
func (u *UI) schedulesOf(r *request, site string) ([]*sitekeepv1.Schedule, error) {
	list, err := u.runs.ListSchedules(r.ctx, &sitekeepv1.ListSchedulesRequest{Sites: site != ""})
	if err != nil || site == "" {
		return list.GetSchedules(), err
	}
	var out []*sitekeepv1.Schedule
	for _, s := range list.GetSchedules() {
		for _, one := range s.GetStatus().GetBySite() {
			if one.GetSite() == site {
				s.Status = &sitekeepv1.ScheduleStatus{Sites: s.GetStatus().GetSites(), NextAt: one.GetNextAt(), LastAt: one.GetLastAt(),
					Missed: one.GetMissed(), MissedWhy: one.GetMissedWhy()}
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// keptText says what a setting keeps, such as "7 daily, 4 weekly".
func keptText(p *sitekeepv1.Retention) string {
	var out []string
	for _, c := range counts(p) {
		if *c.Value > 0 {
			out = append(out, strconv.Itoa(int(*c.Value))+" "+c.Name)
		}
	}
	return strings.Join(out, ", ")
}

// scheduledDrill is the kind of a schedule that makes no backups but tries them out.
const scheduledDrill = "drill"

// scopeText says for which sites a schedule is.
func scopeText(s *sitekeepv1.Schedule) string {
	switch {
	case s.GetAll():
		return "all sites"
	case s.GetClient() != "":
		return "the client " + s.GetClient()
	case len(s.GetSites()) == 1:
		return s.GetSites()[0]
	}
	return strconv.Itoa(len(s.GetSites())) + " sites"
}

// query is an address with values that are not empty.
func query(address string, pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Add(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return address
	}
	return address + "?" + v.Encode()
}
