package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// tree is the stream of the site's files.
type tree struct {
	stream
	partial *archive.Reader // what came before the stream broke; nil: nothing
	told    bool            // the agent said when it began to walk, in this attempt
	started time.Time       // of the first walk, by the agent's clock
	vague   bool            // frames came of a walk whose start is not known
	torn    model.TornFrame // what came of the frame that the stream broke in
}

// takeTree takes the site's files, in as many attempts as it needs.
func (j *job) takeTree(ctx context.Context) error {
	t := &tree{stream: stream{j: j, what: "files", server: j.source, bases: []*archive.Reader{j.earlier()}}}
	t.call, t.keep = t.read, t.suspend
	if err := t.run(ctx); err != nil {
		return err
	}
	j.warnUnseen()
	return j.storeError(j.assembler.CloseTree(j.tree))
}

func (t *tree) read(ctx context.Context) error {
	j := t.j
	web, err := j.deps.Agents.Web(ctx, t.server)
	if err != nil {
		return err
	}
	info, err := web.BriefInfo(ctx)
	if err != nil {
		return err
	}
	j.software[0] = info.Version
	t.told = false
	q := t.request()
	switch {
	case t.partial != nil:
		j.tree, err = web.ReadTree(ctx, q, archive.ResumeFrames(t.partial, j.earlier()), t.emit)
	case j.base != nil:
		j.tree, err = web.ReadTree(ctx, q, j.base.BaseFrames(0), t.emit)
	default:
		j.tree, err = web.ReadTree(ctx, q, nil, t.emit)
	}
	return err
}

func (t *tree) request() model.TreeRequest {
	j := t.j
	q := model.TreeRequest{
		Site: j.q.Site.Ref(), Format: j.q.Format, Excludes: j.q.Site.Excludes, Salvage: j.q.Salvage, NoDump: !j.withDump, ExcludeCaches: j.q.Site.ExcludeCaches,
		Level: j.level(), ReadAll: j.readAll, SendAll: j.q.Full, Gentle: j.q.Gentle, Begun: t.begin,
		BlankCredentials: j.q.Site.BlankCredentials, Blanked: func(paths []string) { j.blanked = paths },
	}
	if j.base != nil {
		q.BaseStartedAt = j.base.Manifest().GetWalkStartedAt().AsTime()
	}
	if t.partial != nil {
		q.Partial, q.Torn = true, &t.torn
		if !t.vague {
			q.PartialStartedAt = t.started
		}
	}
	return q
}

// begin notes the start of the first walk: what changed since may differ from what came of it.
func (t *tree) begin(at time.Time) {
	t.told, t.began = true, true
	if t.started.IsZero() || at.Before(t.started) {
		t.started = at
	}
}

func (t *tree) suspend() error {
	partial, err := t.j.assembler.SuspendTree()
	if err != nil {
		return err
	}
	t.vague = t.vague || !t.told && t.frames > 0
	t.partial, t.bases = partial, []*archive.Reader{partial, t.j.earlier()}
	return nil
}

// warn takes a warning of a stream. Of files that changed unseen a bounded number is named, for there may be a great many.
func (j *job) warn(w *archive.Warning) {
	if w.Kind == archive.WarnUnseen {
		if j.unseen++; j.unseen > maxWarnings {
			return
		}
	}
	j.counts.warn(j.log, w.String())
}

func (j *job) warnUnseen() {
	if j.unseen > 0 {
		j.counts.warn(j.log, fmt.Sprintf("%d files had changed unseen since the earlier backup: compare them with it, and look at the disk", j.unseen))
	}
}
