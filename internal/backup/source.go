package backup

import (
	"context"
	"fmt"
	"sync"
)

// chooseSource finds the web server that files are read from. The servers of a cluster hold the same files, shared or
// replicated, so one is enough: the first that answers. Those that do not are named, because nobody may have noticed.
func (j *job) chooseSource(ctx context.Context) error {
	servers := j.q.Site.WebServers
	versions, failed := make([]string, len(servers)), make([]error, len(servers))
	var asked sync.WaitGroup
	for i, server := range servers {
		asked.Go(func() { versions[i], failed[i] = j.ask(ctx, server) })
	}
	asked.Wait()
	for i, server := range servers {
		if failed[i] == nil && j.source == "" {
			j.source, j.software[0] = server, versions[i]
		}
	}
	if j.source == "" {
		return failed[0]
	}
	for i, server := range servers {
		if failed[i] != nil {
			j.counts.warn(j.log, fmt.Sprintf("web server %s of %s does not answer, so the files come from %s: %v", server, j.q.Site.Name, j.source, failed[i]))
		}
	}
	return nil
}

func (j *job) ask(ctx context.Context, server string) (version string, err error) {
	web, err := j.deps.Agents.Web(ctx, server)
	if err != nil {
		return "", err
	}
	info, err := web.BriefInfo(ctx)
	return info.Version, err
}
