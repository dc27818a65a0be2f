package webui

import (
	"net/url"
	"strconv"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const pageSize = 50

// overviewData is what the overview shows.
type overviewData struct {
	Search, Trouble string
	Sites           []*sitekeepv1.SiteOverview
	Filters         []filter
	Total           int64 // of the search and the filter
	From, To        int64
	Previous, Next  string // addresses; empty at the ends
	Empty           bool   // there is no site at all
}

// filter is a choice of sites with how many there are.
type filter struct {
	Name    string
	Count   int64
	Address string
	Chosen  bool
}

func (u *UI) overview(r *request) error {
	search, trouble := r.FormValue("q"), r.FormValue("show")
	number, _ := strconv.Atoi(r.FormValue("page")) // what is no number is the first page
	number = min(max(number, 0), 1<<20)
	list, err := u.sites.ListOverview(r.ctx, &sitekeepv1.ListOverviewRequest{Search: search, Trouble: trouble, PageSize: pageSize, Offset: int32(number * pageSize)})
	if err != nil {
		return err
	}
	d := overviewData{Search: search, Trouble: trouble, Sites: list.GetSites(), Empty: search == "" && list.GetTotal() == 0}
	d.Filters = filtersOf(list, search, trouble)
	for _, f := range d.Filters {
		if f.Chosen {
			d.Total = f.Count
		}
	}
	d.From = min(int64(number)*pageSize+1, d.Total)
	d.To = int64(number)*pageSize + int64(len(d.Sites))
	if number > 0 {
		d.Previous = overviewPath(search, trouble, number-1)
	}
	if d.To < d.Total {
		d.Next = overviewPath(search, trouble, number+1)
	}
	return u.render(r, "overview", "Sites", d)
}

func filtersOf(list *sitekeepv1.ListOverviewResponse, search, chosen string) []filter {
	counts := list.GetTroubles()
	any := list.GetTotal() - counts["none"] - counts["disabled"]
	out := []filter{{Name: "All", Count: list.GetTotal()}, {Name: "any", Count: any}}
	for _, name := range []string{"needs_operator", "failed", "no_backup", "drill_failed", "stale", "none", "disabled"} {
		if counts[name] > 0 || name == chosen {
			out = append(out, filter{Name: name, Count: counts[name]})
		}
	}
	for i := range out {
		key := out[i].Name
		if i == 0 {
			key = ""
		} else {
			out[i].Name = troubleText(key)
		}
		out[i].Address, out[i].Chosen = overviewPath(search, key, 0), key == chosen
	}
	return out
}

func overviewPath(search, trouble string, page int) string {
	v := url.Values{}
	for key, value := range map[string]string{"q": search, "show": trouble} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if page > 0 {
		v.Set("page", strconv.Itoa(page))
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}
