package restore

import (
	"context"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/pkg/archive"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// pushFiles makes the staged tree on every web server, beside the live one.
type pushFiles struct {
	*run
	independent
}

type pushMemo map[string]uint64 // inode of the live directory by server

func (pushFiles) Name() string { return "push_files" }

func (s pushFiles) Prepare(ctx context.Context) (saga.Memo, error) {
	var live perServer[uint64]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		state, err := web.InspectTree(ctx, s.ref(), s.task)
		if err == nil {
			live.set(server, state.LiveInode)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return memo(live.m)
}

func (s pushFiles) Do(ctx context.Context, _ saga.Memo) error {
	return s.withTarball(ctx, func(t *backup.Tarball) error {
		index, closeIndex := s.index(ctx, t)
		defer closeIndex()
		return s.eachServer(func(server string) error {
			return s.persist(ctx, pushing, server, func(ctx context.Context) (int64, error) {
				return s.stage(ctx, server, metered{Tarball: t, index: index, ahead: s.basis.Ahead})
			})
		})
	})
}

// stage takes what is the same from the live tree, and from what came before a connection broke. The fewer frames are left to
// be sent, the further it has got.
func (s pushFiles) stage(ctx context.Context, server string, from metered) (reached int64, err error) {
	begun := s.now()
	web, err := s.agents.Web(ctx, server)
	if err != nil {
		return math.MinInt64, err
	}
	from.meter, from.left = s.meter, new(atomic.Int64)
	from.left.Store(math.MaxInt64)
	staged, err := s.write(ctx, web, from)
	for _, w := range staged.Warnings {
		s.log.Warn("%s: %s", server, w)
	}
	if err == nil {
		s.tell(server, from.Manifest().GetTotals(), &staged, s.now().Sub(begun))
	}
	return -from.left.Load(), err
}

// tell logs where the staged files came from. Those that an attempt before has sent, or that came ahead, count as taken.
func (s pushFiles) tell(server string, all *archivev1.Totals, staged *model.StagedTree, took time.Duration) {
	sent, sentBytes := all.GetFiles()-min(staged.TakenFiles, all.GetFiles()), all.GetBytes()-min(staged.TakenBytes, all.GetBytes())
	s.log.Log(model.LevelInfo, "%s: staged %d files (%s) in %s: %d (%s) taken over, %d (%s) sent", server,
		all.GetFiles(), bytesize.Text(int64(all.GetBytes())), took.Round(time.Millisecond),
		staged.TakenFiles, bytesize.Text(int64(staged.TakenBytes)), sent, bytesize.Text(int64(sentBytes)))
}

// write takes over what is the same, except in a drill: what that shows to be in the backup must come from there.
func (s pushFiles) write(ctx context.Context, web Web, from metered) (model.StagedTree, error) {
	if s.basis.Part != Drill {
		return web.WriteDelta(ctx, s.ref(), s.task, s.basis.Format, from)
	}
	inode, warnings, err := web.WriteTree(ctx, s.ref(), s.task, s.basis.Format, s.meter.count(pushing, from.TreeFrames(ctx)))
	return model.StagedTree{Inode: inode, Warnings: warnings}, err
}

// metered counts what of a tarball was looked at, and on top of that what is sent.
type metered struct {
	*backup.Tarball
	index treeIndex
	meter *meter
	left  *atomic.Int64 // frames that the agent has asked for
	ahead bool
}

// WalkStarted is when the index was true of the live tree.
func (t metered) WalkStarted() time.Time { return t.index.WalkStarted() }

// Ahead is true for the second of two trees that are staged.
func (t metered) Ahead() bool { return t.ahead }

// BaseFrames counts each frame that the agent looks for in the live tree.
func (t metered) BaseFrames(base uint32) iter.Seq2[archive.BaseFrame, error] {
	return counted(t.meter, t.index.BaseFrames(base), func(f *archive.BaseFrame) { t.meter.add(f.PlainLength) })
}

// ReadRuns counts each frame that the agent did not find there.
func (t metered) ReadRuns(ctx context.Context, runs []archive.FrameRun) iter.Seq2[archive.Frame, error] {
	var asked uint64
	for _, r := range runs {
		asked += r.Count
	}
	t.left.Store(int64(asked))
	return counted(t.meter, t.Tarball.ReadRuns(ctx, runs), func(f *archive.Frame) { t.meter.extend(f.PlainLength) })
}

func counted[T any](m *meter, frames iter.Seq2[T, error], count func(*T)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		m.begin(pushing)
		defer m.finish(pushing)
		for f, err := range frames {
			if err == nil {
				count(&f)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// Undo refuses to remove the directory that was live when the restore began, should it lie in staging. What took the place
// of a tree that came ahead is removed as that would be.
func (s pushFiles) Undo(ctx context.Context, m saga.Memo) error {
	if s.basis.Ahead {
		return nil
	}
	live, err := remember[pushMemo](m)
	if err != nil {
		return err
	}
	return s.undoEach(ctx, s.Name(), func(ctx context.Context, server string, web Web) error {
		return s.clear(ctx, server, web, live)
	})
}

// clear removes what is staged on one web server.
func (s pushFiles) clear(ctx context.Context, server string, web Web, live pushMemo) error {
	state, err := web.InspectTree(ctx, s.ref(), s.task)
	if err != nil {
		return err
	}
	switch {
	case state.StagedInode != 0 && state.StagedInode == live[server]:
		return errs.New(errs.Precondition, "", "the old directory of %s lies in %s", s.basis.Site.Name, s.stagingDir())
	case live[server] != 0 && state.LiveInode == 0 && state.StagedInode == 0:
		return s.unmounted()
	}
	return web.RemoveStaging(ctx, s.ref(), s.task, state.LiveInode)
}

func (s pushFiles) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, "# on "+server+", when "+s.basis.Site.Root+" is the old site:", "rm -rf "+quote(s.stagingDir()))
	}
	return lines
}
