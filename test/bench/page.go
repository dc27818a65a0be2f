package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// pageInterval is between two looks at the page: downtime is known to this.
const pageInterval = 100 * time.Millisecond

// pageWatch asks for the site's page again and again.
type pageWatch struct {
	longest time.Duration // without the page; valid after stop
	cancel  context.CancelFunc
	done    chan struct{}
}

func watchPage(ctx context.Context, w *world) *pageWatch {
	ctx, cancel := context.WithCancel(ctx)
	p := &pageWatch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.look(ctx, w)
	}()
	return p
}

// stop ends the watch and waits for it.
func (p *pageWatch) stop() {
	p.cancel()
	<-p.done
}

func (p *pageWatch) look(ctx context.Context, w *world) {
	var missing time.Time // since when
	want := fmt.Sprintf("posts: %d\n", corpusPosts)
	for ctx.Err() == nil {
		asked := time.Now()
		res, err := w.web.Get(ctx, w.domain, "/")
		if ctx.Err() != nil {
			break
		}
		there := err == nil && res.Status == http.StatusOK && res.Body == want
		switch {
		case !there && missing.IsZero():
			missing = asked
		case there && !missing.IsZero():
			p.longest = max(p.longest, time.Since(missing))
			missing = time.Time{}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pageInterval):
		}
	}
	if !missing.IsZero() {
		p.longest = max(p.longest, time.Since(missing))
	}
}
