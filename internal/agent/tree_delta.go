package agent

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type writeDeltaStream = grpc.BidiStreamingServer[agentv1.WriteDeltaRequest, agentv1.WriteDeltaResponse]

// WriteDelta makes the staged tree out of the live one and what comes of the tarball. Whatever goes wrong, and if an
// end mark does not come, nothing of it stays; but what came before a connection broke does, if the header says so.
func (s *treeService) WriteDelta(stream writeDeltaStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return noHeader()
	}
	site, format, err := s.target(header)
	if err != nil {
		return err
	}
	var warned warningList
	d := delta{stream: stream, opts: archive.DeltaOptions{
		Format: format, WalkStarted: header.GetWalkStartedAt().AsTime(), Resume: header.GetResume(), Warn: func(w archive.Warning) { warned.add(w.String()) },
	}}
	inode, err := s.fill(stream.Context(), site, header, &d)
	if err != nil {
		return treeError(err)
	}
	return stream.Send(&agentv1.WriteDeltaResponse{Message: &agentv1.WriteDeltaResponse_Summary{Summary: &agentv1.WriteDeltaSummary{
		Entries: uint64(d.summary.Entries), Bytes: uint64(d.summary.Bytes), Warnings: warned.lines(), StagedInode: inode,
		TakenFiles: uint64(d.summary.TakenFiles), TakenBytes: uint64(d.summary.TakenBytes),
	}}})
}

// fill takes files over from the live tree, or from what came ahead.
func (s *treeService) fill(ctx context.Context, site *guard.Site, header *agentv1.WriteDeltaHeader, d *delta) (inode uint64, err error) {
	if header.GetResume() && header.GetAhead() {
		return s.stager.RefillAhead(ctx, site, header.GetTask(), func(dir, ahead *os.Root) error {
			d.opts.Move = ahead != nil
			return d.make(ctx, dir, ahead)
		})
	}
	live := s.liveTree(site)
	if live != nil {
		defer live.Close()
	}
	fill := s.stager.Fill
	if header.GetResume() {
		fill = s.stager.Refill
	}
	return fill(ctx, site, header.GetTask(), func(dir *os.Root) error { return d.make(ctx, dir, live) })
}

// liveTree opens the live tree. A site whose directory cannot be opened is restored all the same, from the tarball alone.
func (a *Agent) liveTree(site *guard.Site) *os.Root {
	live, err := site.OpenRoot()
	if err != nil {
		a.log.Info("nothing is taken over from the live directory", "root", site.Root, "error", err)
		return nil
	}
	return live
}

// delta is one call of WriteDelta.
type delta struct {
	stream  writeDeltaStream
	opts    archive.DeltaOptions
	summary archive.DeltaSummary
}

func (d *delta) make(ctx context.Context, dir, live *os.Root) error {
	work, err := archive.NewDelta(dir, live, d.opts)
	if err != nil {
		return err
	}
	defer work.Close()
	if err := work.Match(ctx, d.index(), d.need); err != nil {
		return err
	}
	if err := d.stream.Send(&agentv1.WriteDeltaResponse{Message: &agentv1.WriteDeltaResponse_Matched{Matched: &agentv1.StreamEnd{}}}); err != nil {
		return err
	}
	if err := work.Extract(ctx, d.frame); err != nil {
		return err
	}
	d.summary, err = work.Finish(ctx, d.others())
	return err
}

func (d *delta) need(first, count uint64) error {
	run := &agentv1.FrameRun{First: first, Count: count}
	return d.stream.Send(&agentv1.WriteDeltaResponse{Message: &agentv1.WriteDeltaResponse_Need{Need: run}})
}

func (d *delta) index() iter.Seq2[archive.BaseFrame, error] {
	return baseFrames(func() (*agentv1.BaseIndex, *agentv1.StreamEnd, error) {
		m, err := d.stream.Recv()
		return m.GetIndex(), m.GetEnd(), err
	}, wire.BaseFrameFromProto)
}

// frame returns the next frame, and io.EOF at the end mark.
func (d *delta) frame() (archive.Frame, error) {
	m, err := d.stream.Recv()
	switch {
	case err != nil:
		return archive.Frame{}, cutOff(err, "the tree")
	case m.GetEnd() != nil:
		return archive.Frame{}, io.EOF
	case m.GetFrame() == nil:
		return archive.Frame{}, noHeader()
	}
	return wire.FrameFromProto(m.GetFrame())
}

// others yields directories and links until the end mark.
func (d *delta) others() iter.Seq2[archive.Entry, error] {
	return func(yield func(archive.Entry, error) bool) {
		for {
			list, err := d.otherEntries()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(archive.Entry{}, err)
				return
			}
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// otherEntries returns the next of them, and io.EOF at the end mark.
func (d *delta) otherEntries() ([]archive.Entry, error) {
	m, err := d.stream.Recv()
	switch {
	case err != nil:
		return nil, cutOff(err, "the list of directories and links")
	case m.GetEnd() != nil:
		return nil, io.EOF
	case m.GetOthers() == nil:
		return nil, noHeader()
	}
	return wire.EntriesFromProto(m.GetOthers().GetEntries())
}
