package fleet

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// DeltaSource is a tarball as WriteDelta needs it; see archive.Reader.
type DeltaSource = interface {
	// WalkStarted is when the walk began that the tarball was made of.
	WalkStarted() time.Time
	Counts() archive.Counts
	BaseFrames(base uint32) iter.Seq2[archive.BaseFrame, error]
	ReadRuns(ctx context.Context, runs []archive.FrameRun) iter.Seq2[archive.Frame, error]
	OtherEntries() iter.Seq2[archive.Entry, error]
	// Ahead says that the task has staged another tree like it, whose files may be moved.
	Ahead() bool
}

// WriteDelta makes a task's staged tree out of the live one and those frames that hold what is not in it. If the
// connection breaks, what has come stays at the agent, and the next call of the same task goes on with it.
func (a *Agent) WriteDelta(ctx context.Context, site model.SiteRef, task, format string, from DeltaSource) (model.StagedTree, error) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.tree.WriteDelta(call)
	if err != nil {
		return model.StagedTree{}, a.named(ctx, err)
	}
	d := delta{agent: a, stream: stream, from: from}
	out, err := d.run(call, &agentv1.WriteDeltaHeader{
		Site: ref(site), Task: task, Format: format, WalkStartedAt: timestamppb.New(from.WalkStarted()), Resume: true, Ahead: from.Ahead(),
	})
	return out, a.named(ctx, err)
}

// delta is one call of WriteDelta.
type delta struct {
	agent  *Agent
	stream agentv1.TreeService_WriteDeltaClient
	from   DeltaSource
}

func (d *delta) run(ctx context.Context, header *agentv1.WriteDeltaHeader) (model.StagedTree, error) {
	runs, err := d.match(header)
	if err != nil {
		return model.StagedTree{}, err
	}
	for _, part := range []func() error{
		func() error { return d.sendFrames(ctx, d.from.ReadRuns(ctx, runs)) },
		d.sendOthers,
		d.stream.CloseSend,
	} {
		if err := ended(part()); err != nil {
			return model.StagedTree{}, err
		}
	}
	return d.summary()
}

// match sends the index and returns the frames that the agent asks for meanwhile.
func (d *delta) match(header *agentv1.WriteDeltaHeader) (runs []archive.FrameRun, err error) {
	sent := make(chan error, 1)
	go func() {
		err := ended(d.sendIndex(header))
		if err != nil {
			_ = d.stream.CloseSend() // the agent finds that the end mark is missing, and ends the call
		}
		sent <- err
	}()
	runs, err = d.needed()
	if cause := <-sent; cause != nil {
		return nil, cause
	}
	return runs, err
}

func (d *delta) sendIndex(header *agentv1.WriteDeltaHeader) error {
	if err := d.stream.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Header{Header: header}}); err != nil {
		return err
	}
	send := func(b *agentv1.BaseIndex, _ *agentv1.StreamEnd) error {
		return d.stream.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Index{Index: b}})
	}
	if err := sendPieces(send, treeBase(d.from.BaseFrames(0))); err != nil {
		return err
	}
	return d.sendEnd()
}

func (d *delta) sendEnd() error {
	return d.stream.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_End{End: &agentv1.StreamEnd{}}})
}

// needed collects what the agent asks for until it says that this is all. It cannot ask for more than there is.
func (d *delta) needed() (runs []archive.FrameRun, err error) {
	for left := uint64(d.from.Counts().Frames); ; {
		m, err := d.stream.Recv()
		switch {
		case err != nil:
			return nil, cutShort(err)
		case m.GetMatched() != nil:
			return runs, nil
		case m.GetNeed() == nil:
			return nil, unknownMessage()
		}
		run := archive.FrameRun{First: m.GetNeed().GetFirst(), Count: m.GetNeed().GetCount()}
		if run.Count > left {
			return nil, errs.New(errs.Corrupt, "install the same version of Sitekeep on both sides", "the agent asks for more frames than there are")
		}
		left -= run.Count
		runs = archive.AddRun(runs, run)
	}
}

func (d *delta) sendFrames(ctx context.Context, frames iter.Seq2[archive.Frame, error]) error {
	for f, err := range frames {
		if err != nil {
			return err
		}
		f.Entries = nil // the agent reads the tar stream itself
		frame := wire.FrameToProto(&f)
		if err := d.agent.slow(ctx, frame); err != nil {
			return err
		}
		if err := d.stream.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Frame{Frame: frame}}); err != nil {
			return err
		}
	}
	return d.sendEnd()
}

// otherPieces is how many entries go in one message: with paths and attributes some 20 KiB.
const otherPieces = 128

func (d *delta) sendOthers() error {
	var piece []archive.Entry
	send := func() error {
		list := &agentv1.EntryList{Entries: wire.EntriesToProto(piece)}
		piece = piece[:0]
		return d.stream.Send(&agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Others{Others: list}})
	}
	for e, err := range d.from.OtherEntries() {
		if err != nil {
			return err
		}
		if piece = append(piece, e); len(piece) < otherPieces {
			continue
		}
		if err := send(); err != nil {
			return err
		}
	}
	if len(piece) > 0 {
		if err := send(); err != nil {
			return err
		}
	}
	return d.sendEnd()
}

func (d *delta) summary() (model.StagedTree, error) {
	m, err := d.stream.Recv()
	if err != nil {
		return model.StagedTree{}, cutShort(err)
	}
	s := m.GetSummary()
	if s == nil {
		return model.StagedTree{}, unknownMessage()
	}
	return model.StagedTree{
		Inode: s.GetStagedInode(), Warnings: s.GetWarnings(), TakenFiles: s.GetTakenFiles(), TakenBytes: s.GetTakenBytes(),
	}, nil
}

// cutShort names a stream that ended without its closing message.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return errs.New(errs.Unreachable, "", "the stream ended without its closing message")
	}
	return err
}

func unknownMessage() error {
	return errs.New(errs.Failed, "update the agent and the master to the same version", "a message of an unknown kind came")
}

// CompareTree says how the live tree differs from a backup's index, with so many paths of each sort of difference. If only
// names any, only they and what is below them count.
func (a *Agent) CompareTree(ctx context.Context, site model.SiteRef, only [][]byte, paths int, index iter.Seq2[archive.BaseFrame, error]) (model.TreeDifferences, error) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.tree.CompareTree(call)
	if err != nil {
		return model.TreeDifferences{}, a.named(ctx, err)
	}
	if err := ended(sendComparison(stream, &agentv1.CompareTreeHeader{Site: ref(site), MaxPaths: uint32(paths), Select: only}, index)); err != nil {
		return model.TreeDifferences{}, a.named(ctx, err)
	}
	p, err := stream.CloseAndRecv()
	return model.TreeDifferences{
		Added: treeDifference(p.GetAdded()), Changed: treeDifference(p.GetChanged()), Removed: treeDifference(p.GetRemoved()),
		Warnings: p.GetWarnings(),
	}, a.named(ctx, err)
}

func sendComparison(stream agentv1.TreeService_CompareTreeClient, header *agentv1.CompareTreeHeader, index iter.Seq2[archive.BaseFrame, error]) error {
	if err := stream.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_Header{Header: header}}); err != nil {
		return err
	}
	send := func(b *agentv1.BaseIndex, _ *agentv1.StreamEnd) error {
		return stream.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_Index{Index: b}})
	}
	if err := sendPieces(send, treeBase(index)); err != nil {
		return err
	}
	return stream.Send(&agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_End{End: &agentv1.StreamEnd{}}})
}

func treeDifference(p *agentv1.TreeDifference) model.TreeDifference {
	return model.TreeDifference{Entries: p.GetEntries(), Bytes: p.GetBytes(), Paths: p.GetPaths()}
}
