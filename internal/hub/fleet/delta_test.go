package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// tarball is a made-up one of ten frames and three links.
type tarball struct{ indexBroken, framesBroken error }

func (tarball) WalkStarted() time.Time { return time.Unix(1e9, 0) }
func (tarball) Counts() archive.Counts { return archive.Counts{Frames: 10} }

func (t tarball) BaseFrames(uint32) iter.Seq2[archive.BaseFrame, error] {
	return func(yield func(archive.BaseFrame, error) bool) {
		for n := range uint64(10) {
			entry := archive.Entry{Path: fmt.Sprintf("./%d", n), Type: archive.TypeRegular}
			if !yield(archive.BaseFrame{Number: n, Entries: []archive.Entry{entry}}, nil) {
				return
			}
		}
		if t.indexBroken != nil {
			yield(archive.BaseFrame{}, t.indexBroken)
		}
	}
}

func (t tarball) ReadRuns(_ context.Context, runs []archive.FrameRun) iter.Seq2[archive.Frame, error] {
	return func(yield func(archive.Frame, error) bool) {
		for _, run := range runs {
			if !yield(archive.Frame{Kind: archive.KindTree, Data: fmt.Appendf(nil, "%d+%d", run.First, run.Count)}, nil) {
				return
			}
		}
		if t.framesBroken != nil {
			yield(archive.Frame{}, t.framesBroken)
		}
	}
}

func (tarball) Ahead() bool { return true }

func (tarball) OtherEntries() iter.Seq2[archive.Entry, error] {
	return func(yield func(archive.Entry, error) bool) {
		for _, name := range []string{"./a", "./b", "./c"} {
			if !yield(archive.Entry{Path: name, Type: archive.TypeSymlink, LinkTarget: "x"}, nil) {
				return
			}
		}
	}
}

// heard reads a part of a delta to its end mark, and says what was in it.
func heard(s agentv1.TreeService_WriteDeltaServer) (text string, err error) {
	for {
		m, err := s.Recv()
		if err != nil {
			return text, err
		}
		switch {
		case m.GetEnd() != nil:
			return text, nil
		case m.GetHeader() != nil:
			text += fmt.Sprintf("%s %s %d:", m.GetHeader().GetTask(), m.GetHeader().GetFormat(), m.GetHeader().GetWalkStartedAt().GetSeconds())
		case m.GetIndex() != nil:
			text += fmt.Sprintf(" %d frames", len(m.GetIndex().GetFrames()))
		case m.GetFrame() != nil:
			text += " " + string(m.GetFrame().GetData())
		default:
			text += fmt.Sprintf(" %d others", len(m.GetOthers().GetEntries()))
		}
	}
}

func asks(s agentv1.TreeService_WriteDeltaServer, first, count uint64) error {
	return s.Send(&agentv1.WriteDeltaResponse{Message: &agentv1.WriteDeltaResponse_Need{Need: &agentv1.FrameRun{First: first, Count: count}}})
}

func matched(s agentv1.TreeService_WriteDeltaServer) error {
	return s.Send(&agentv1.WriteDeltaResponse{Message: &agentv1.WriteDeltaResponse_Matched{Matched: &agentv1.StreamEnd{}}})
}

func (r *rig) delta(a *agent, from tarball) (model.StagedTree, error) {
	r.Helper()
	web1, s := r.web1(a)
	r.stop = s.Stop
	type result struct {
		tree model.StagedTree
		err  error
	}
	done := make(chan result, 1)
	go func() {
		tree, err := web1.WriteDelta(r.Context(), site, "T1", "tar.zst", from)
		done <- result{tree, err}
	}()
	select {
	case out := <-done:
		return out.tree, out.err
	case <-time.After(soon):
		r.Fatal("it hangs")
		return model.StagedTree{}, nil
	}
}

func TestWritingADelta(t *testing.T) {
	r := newRig(t)
	var parts []string
	good := &agent{delta: func(s agentv1.TreeService_WriteDeltaServer) error {
		index, err := heard(s)
		err = errors.Join(err, asks(s, 7, 1), asks(s, 2, 2), asks(s, 4, 1), matched(s))
		frames, err2 := heard(s)
		others, err3 := heard(s)
		parts = []string{index, frames, others}
		return errors.Join(err, err2, err3, s.Send(&agentv1.WriteDeltaResponse{Message: &agentv1.WriteDeltaResponse_Summary{
			Summary: &agentv1.WriteDeltaSummary{StagedInode: 7, TakenFiles: 6, TakenBytes: 99, Warnings: []string{"odd"}}}}))
	}}
	tree, err := r.delta(good, tarball{})
	if got := strings.Join(parts, ";"); err != nil || got != "T1 tar.zst 1000000000: 10 frames; 7+1 2+3; 3 others" ||
		tree.Inode != 7 || tree.TakenFiles != 6 || tree.TakenBytes != 99 || len(tree.Warnings) != 1 {
		t.Errorf("%q, %+v, %v", got, tree, err)
	}
}

// TestDeltasThatBreak: what went wrong is what the caller hears, and the agent never takes a broken part for a whole one.
func TestDeltasThatBreak(t *testing.T) {
	r := newRig(t)
	broken := errs.New(errs.Corrupt, "", "the index is damaged")
	ended := make(chan error, 1)
	watch := func(parts int) *agent {
		return &agent{delta: func(s agentv1.TreeService_WriteDeltaServer) error {
			err := func() error {
				for i := range parts {
					if _, err := heard(s); err != nil {
						return err
					}
					if i == 0 {
						if err := errors.Join(asks(s, 0, 1), matched(s)); err != nil {
							return err
						}
					}
				}
				return nil
			}()
			ended <- err
			return err
		}}
	}
	if _, err := r.delta(watch(1), tarball{indexBroken: broken}); !errors.Is(err, broken) || <-ended == nil {
		t.Errorf("a damaged index: %v", err)
	}
	if _, err := r.delta(watch(2), tarball{framesBroken: broken}); !errors.Is(err, broken) || <-ended == nil {
		t.Errorf("damaged frames: %v", err)
	}
	if _, err := r.delta(watch(3), tarball{}); !errs.Is(err, errs.Unreachable) || <-ended != nil {
		t.Errorf("no summary: %v (%v)", err, errs.KindOf(err))
	}
	full := &agent{delta: func(s agentv1.TreeService_WriteDeltaServer) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		return errs.New(errs.NoSpace, "make room", "the disk is full")
	}}
	if _, err := r.delta(full, tarball{}); !errs.Is(err, errs.NoSpace) || errs.HintOf(err) != "make room" || errors.Is(err, io.EOF) {
		t.Errorf("a full disk: %v (%v)", err, errs.KindOf(err))
	}
	greedy := &agent{delta: func(s agentv1.TreeService_WriteDeltaServer) error {
		for {
			if err := asks(s, 0, 3); err != nil {
				return err
			}
		}
	}}
	if _, err := r.delta(greedy, tarball{}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("an agent that asks for ever: %v (%v)", err, errs.KindOf(err))
	}
	dies := &agent{delta: func(s agentv1.TreeService_WriteDeltaServer) error {
		_, _ = s.Recv()
		go r.stop()
		<-s.Context().Done()
		return s.Context().Err()
	}}
	if _, err := r.delta(dies, tarball{}); !errs.Is(err, errs.Unreachable) {
		t.Errorf("it died: %v (%v)", err, errs.KindOf(err))
	}
}

func TestComparingATree(t *testing.T) {
	r := newRig(t)
	frames := 0
	web1, _ := r.web1(&agent{compare: func(s agentv1.TreeService_CompareTreeServer) error {
		for {
			m, err := s.Recv()
			if err != nil {
				return err
			}
			frames += len(m.GetIndex().GetFrames())
			if m.GetEnd() != nil {
				return s.SendAndClose(&agentv1.CompareTreeResponse{Added: &agentv1.TreeDifference{Entries: 2, Bytes: 3, Paths: []string{"./a"}}, Warnings: []string{"odd"}})
			}
		}
	}})
	got, err := web1.CompareTree(t.Context(), site, nil, 5, tarball{}.BaseFrames(0))
	if err != nil || frames != 10 || got.Added.Entries != 2 || got.Added.Bytes != 3 || len(got.Added.Paths) != 1 || len(got.Warnings) != 1 {
		t.Errorf("%d frames, %+v, %v", frames, got, err)
	}
	broken := errs.New(errs.Corrupt, "", "the index is damaged")
	if _, err := web1.CompareTree(t.Context(), site, nil, 5, tarball{indexBroken: broken}.BaseFrames(0)); !errors.Is(err, broken) {
		t.Errorf("a damaged index: %v", err)
	}
}
