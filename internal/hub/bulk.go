package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// scopeText is a bulk request's scope for the audit log.
func scopeText(q *sitekeepv1.CreateBackupsRequest) string {
	const most = 200 // characters
	text := strings.Join(q.GetNames(), " ")
	switch {
	case q.GetAll():
		text = "all sites"
	case q.GetClient() != "":
		text = "client " + q.GetClient()
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// CreateBackups submits all at once: the queue's limits decide how many run.
func (s *backupService) CreateBackups(ctx context.Context, q *sitekeepv1.CreateBackupsRequest) (*sitekeepv1.CreateBackupsResponse, error) {
	spec, err := backupSpec(q)
	if err != nil {
		return nil, err
	}
	spec.Patient = true
	sites, out, err := s.bulk(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, site := range sites {
		t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskBackup, Site: site, Spec: spec, Queue: q.Queue})
		switch {
		case err == nil:
			out.Tasks = append(out.Tasks, taskToProto(&t))
		case ctx.Err() != nil:
			return nil, err
		default:
			out.Refused = append(out.Refused, refusal(site, err))
		}
	}
	return out, nil
}

func refusal(site string, err error) *sitekeepv1.RefusedBackup {
	return &sitekeepv1.RefusedBackup{Site: site, Error: err.Error(), ErrorKind: errs.KindOf(err).String(), Hint: errs.HintOf(err)}
}

// bulk names the sites of a request, sorted. What has no site, and what is left out, stands in the response.
func (s *backupService) bulk(ctx context.Context, q *sitekeepv1.CreateBackupsRequest) ([]string, *sitekeepv1.CreateBackupsResponse, error) {
	ways := 0
	for _, given := range []bool{q.All, q.Client != "", len(q.Names) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return nil, nil, errs.New(errs.Usage, "name sites, or give one of --all and --client", "which sites?")
	}
	found := &scope{out: &sitekeepv1.CreateBackupsResponse{}}
	if len(q.Names) == 0 {
		err := s.widen(ctx, found, catalogue.SiteFilter{Client: q.Client})
		if err == nil && len(found.sites)+len(found.out.Disabled) == 0 {
			err = errs.New(errs.NotFound, "see: sitekeep site list", "there is no such site to back up")
		}
		return found.sites, found.out, err
	}
	for _, name := range q.Names {
		if err := s.widenByName(ctx, found, name); err != nil {
			return nil, nil, err
		}
	}
	slices.Sort(found.sites)
	found.sites = slices.Compact(found.sites)
	slices.Sort(found.out.Disabled)
	found.out.Disabled = slices.DeleteFunc(slices.Compact(found.out.Disabled), func(name string) bool {
		_, named := slices.BinarySearch(found.sites, name)
		return named
	})
	return found.sites, found.out, nil
}

// scope is what has been found of a bulk request.
type scope struct {
	sites []string
	out   *sitekeepv1.CreateBackupsResponse
}

// widen adds the sites that a filter chooses and the caller may see.
func (s *backupService) widen(ctx context.Context, to *scope, f catalogue.SiteFilter) error {
	if mine := callerFrom(ctx).client; mine != "" {
		if f.Client != "" && f.Client != mine {
			return nil
		}
		f.Client = mine
	}
	for site, err := range s.Catalogue.AllSites(ctx, f) {
		switch {
		case err != nil:
			return err
		case site.Disabled:
			to.out.Disabled = append(to.out.Disabled, site.Name)
		default:
			to.sites = append(to.sites, site.Name)
		}
	}
	return nil
}

// widenByName adds a site, or those that a glob matches. One that is not there is refused.
func (s *backupService) widenByName(ctx context.Context, to *scope, name string) error {
	if !strings.ContainsAny(name, "*?[") {
		_, err := s.site(ctx, name)
		switch {
		case errs.Is(err, errs.NotFound):
			to.out.Refused = append(to.out.Refused, refusal(name, err))
			return nil
		case err != nil:
			return err
		}
		to.sites = append(to.sites, name)
		return nil
	}
	before := len(to.sites) + len(to.out.Disabled)
	if err := s.widen(ctx, to, catalogue.SiteFilter{Names: []string{name}}); err != nil {
		return err
	}
	if len(to.sites)+len(to.out.Disabled) == before {
		to.out.Refused = append(to.out.Refused, refusal(name, errs.New(errs.NotFound, "see: sitekeep site list", "no site matches %s", name)))
	}
	return nil
}

const (
	mostWatched   = 20000 // tasks of one call
	mostAttention = 20    // lines of one task
)

// WatchTasks follows many tasks on one stream.
func (s *taskService) WatchTasks(q *sitekeepv1.WatchTasksRequest, stream sitekeepv1.TaskService_WatchTasksServer) error {
	ctx := stream.Context()
	if len(q.Ids) > mostWatched {
		return errs.New(errs.Usage, "watch fewer at a time", "%d tasks are more than %d", len(q.Ids), mostWatched)
	}
	ids, err := s.mine(ctx, q.Ids)
	if err != nil {
		return err
	}
	for t, err := range s.Tasks.WatchAll(ctx, ids) {
		if err != nil {
			return err
		}
		out := &sitekeepv1.WatchTasksResponse{Task: taskToProto(&t)}
		if t.State.Final() {
			if out.Attention, err = s.attention(ctx, t.ID); err != nil {
				return err
			}
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
	return nil
}

// mine are those of the tasks that the caller may see.
func (s *taskService) mine(ctx context.Context, ids []string) ([]string, error) {
	if callerFrom(ctx).client == "" {
		return ids, nil
	}
	var seen []string
	for _, id := range ids {
		_, err := s.task(ctx, id)
		switch {
		case err == nil:
			seen = append(seen, id)
		case !errs.Is(err, errs.NotFound):
			return nil, err
		}
	}
	return seen, nil
}

// attention returns the first lines of a log that an operator should see.
func (s *taskService) attention(ctx context.Context, id string) (out []*sitekeepv1.LogLine, err error) {
	for next := int64(1); ; {
		lines, err := s.Catalogue.LogLines(ctx, id, next, logPage)
		if err != nil {
			return nil, err
		}
		for i := range lines {
			next = lines[i].Seq + 1
			if lines[i].Level != model.LevelInfo {
				out = append(out, lineToProto(&lines[i]))
			}
		}
		if len(lines) < logPage || len(out) >= mostAttention {
			return out[:min(len(out), mostAttention)], nil
		}
	}
}
