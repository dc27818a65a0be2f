package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type task struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Site     string    `json:"site"`
	State    string    `json:"state"`
	Error    string    `json:"error"`
	Attempt  int       `json:"attempt"`
	Started  time.Time `json:"started_at"`
	Finished time.Time `json:"finished_at"`
}

func (t *task) final() bool { return t.State != "queued" && t.State != "running" }

type backup struct {
	ID     string `json:"id"`
	Site   string `json:"site"`
	Format string `json:"format"`
}

// most tasks that a list gives.
const most = "1000"

// tasks are the newest backups of all sites, or those of one.
func (f *Fleet) tasks(ctx context.Context, site ...string) ([]task, error) {
	all, err := read[[]task](ctx, f, append([]string{"task", "list", "--limit", most}, site...)...)
	return slices.DeleteFunc(all, func(t task) bool { return t.Kind != "backup" }), err
}

// Limits are how many tasks ran at the same time, by the queue's own records.
type Limits struct {
	Total, PerAgent, PerDatabaseServer int
}

// Ran finds the most tasks that ran at the same time; agentOf tells a site's.
func (f *Fleet) Ran(ctx context.Context) (Limits, error) {
	all, err := f.tasks(ctx)
	if err != nil {
		return Limits{}, err
	}
	byAgent := map[string][]task{}
	for _, t := range all {
		i := slices.Index(f.Sites, t.Site)
		if i < 0 {
			return Limits{}, fmt.Errorf("task %s is about %q", t.ID, t.Site)
		}
		server := webServer(i % (len(f.Agents) - 1))
		byAgent[server] = append(byAgent[server], t)
	}
	out := Limits{Total: together(all), PerDatabaseServer: together(all)}
	for _, list := range byAgent {
		out.PerAgent = max(out.PerAgent, together(list))
	}
	return out, nil
}

// together is how many of the tasks ran at the same time at most.
func together(list []task) (top int) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, t := range list {
		changes = append(changes, change{t.Started, 1}, change{t.Finished, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	now := 0
	for _, c := range changes {
		now += c.by
		top = max(top, now)
	}
	return top
}

// Judge wants each site to have so many backups and tasks, each of them good,
// nothing else in the store, and every byte of it as recorded.
func (f *Fleet) Judge(ctx context.Context, each int) error {
	asked, wrong, err := f.asked(ctx)
	if err != nil {
		return err
	}
	backups, err := read[[]backup](ctx, f, "backups")
	if err != nil {
		return errors.Join(append(wrong, err)...)
	}
	have, files := map[string]int{}, map[string]bool{}
	for _, b := range backups {
		have[b.Site]++
		files[filepath.Join(b.Site, b.ID+"."+b.Format)] = true
		files[filepath.Join(b.Site, b.ID+".manifest.json")] = true
	}
	for _, site := range f.Sites {
		if asked[site] != each || have[site] != each {
			wrong = append(wrong, fmt.Errorf("%s has %d tasks and %d backups in place of %d", site, asked[site], have[site], each))
		}
	}
	wrong = append(wrong, f.store(files)...)
	_, err = f.Master.Run(ctx, "check", "--all")
	return errors.Join(append(wrong, err)...)
}

// asked counts the tasks of each site, by sites: of all together a list has the newest alone.
func (f *Fleet) asked(ctx context.Context) (asked map[string]int, wrong []error, err error) {
	asked = map[string]int{}
	for _, site := range f.Sites {
		tasks, err := f.tasks(ctx, site)
		if err != nil {
			return nil, nil, err
		}
		for i := range tasks {
			asked[site]++
			if t := &tasks[i]; t.State != "succeeded" {
				wrong = append(wrong, fmt.Errorf("task %s of %s is %s: %s", t.ID, t.Site, t.State, t.Error))
			}
		}
	}
	return asked, wrong, nil
}

// store compares what lies in the store with what is listed.
func (f *Fleet) store(listed map[string]bool) (wrong []error) {
	root := filepath.Join(f.Master.DataDir, "store")
	found, err := filepath.Glob(filepath.Join(root, "*.fleet.example", "*"))
	if err != nil {
		return []error{err}
	}
	for _, path := range found {
		if name := strings.TrimPrefix(path, root+"/"); !listed[name] {
			wrong = append(wrong, fmt.Errorf("in the store and not listed: %s", name))
		}
		delete(listed, strings.TrimPrefix(path, root+"/"))
	}
	for name := range listed {
		wrong = append(wrong, fmt.Errorf("listed and not in the store: %s", name))
	}
	return wrong
}
