package fleet

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// A message has at most so many frames of a base, and ends behind the one with which it has so many bytes: with about
// 10 small files a frame that is some 50 KiB, with a hundred tiny ones no more than 80.
const (
	basePieces = 32
	baseBytes  = 64 << 10
)

// Emit takes the items of a stream, one at a time and in order.
type Emit = func(ctx context.Context, item archive.Item) error

// ReadTree streams a site's directory up. base may be nil. It returns only when the stream is complete.
func (a *Agent) ReadTree(ctx context.Context, r model.TreeRequest, base iter.Seq2[archive.BaseFrame, error], emit Emit) (archive.Summary, error) {
	g, both := errgroup.WithContext(ctx)
	stream, err := a.tree.ReadTree(both, grpc.ForceCodecV2(wire.NewFrameReceiver()))
	if err != nil {
		return archive.Summary{}, a.named(ctx, err)
	}
	header := &agentv1.ReadTreeHeader{
		Site: ref(r.Site), Format: r.Format, Level: int32(r.Level), Excludes: r.Excludes, Salvage: r.Salvage,
		HasBase: base != nil, BaseStartedAt: timestamppb.New(r.BaseStartedAt), NoDump: r.NoDump, ExcludeCaches: r.ExcludeCaches,
		Partial: r.Partial, PartialStartedAt: wire.TimeToProto(r.PartialStartedAt), ReadAll: r.ReadAll, SendAll: r.SendAll, Gentle: r.Gentle,
		BlankCredentials: r.BlankCredentials,
	}
	parts := &parts{torn: r.Torn}
	parts.ask(header)
	g.Go(func() error {
		return ended(sendBase(stream.CloseSend, func(b *agentv1.BaseIndex, end *agentv1.StreamEnd) error {
			switch {
			case b != nil:
				if err := a.slow(both, b); err != nil {
					return err
				}
				return stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Base{Base: b}})
			case end != nil:
				return stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_End{End: end}})
			}
			return stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Header{Header: header}})
		}, treeBase(base)))
	})
	var summary archive.Summary
	g.Go(func() (err error) {
		told := !r.BlankCredentials
		summary, err = receive(both, parts, func() (item, error) {
			m, err := slowRecv(both, a, stream.Recv)
			if start := m.GetStart(); start != nil {
				begun(r.Begun, start)
				if err := blanks(&r, start); err != nil {
					return item{}, err
				}
				told = true
				m, err = slowRecv(both, a, stream.Recv)
			}
			if !told && m.GetFrame() != nil {
				return item{}, blanks(&r, nil)
			}
			return item{m.GetFrame(), m.GetPart(), m.GetReference(), m.GetWarning(), m.GetSummary()}, err
		}, emit)
		return err
	})
	err = g.Wait() // before summary is read
	return summary, a.named(ctx, err)
}

// blanks refuses an agent that would send the password.
func blanks(r *model.TreeRequest, start *agentv1.ReadTreeStart) error {
	switch {
	case !r.BlankCredentials:
		return nil
	case !start.GetBlanksCredentials():
		return errs.New(errs.Precondition, "install the master's version of the agent there, or: sitekeep site set "+r.Site.Name+" --blank-credentials=false",
			"the agent is too old to blank the credentials of %s", r.Site.Name)
	}
	var paths []string
	for _, path := range start.GetBlanked() {
		paths = append(paths, string(path))
	}
	if r.Blanked != nil {
		r.Blanked(paths)
	}
	return nil
}

func begun(tell func(time.Time), start *agentv1.ReadTreeStart) {
	if tell != nil {
		tell(wire.TimeFromProto(start.GetStartedAt()))
	}
}

// Dump streams a database up. base may be nil. It returns only when the stream is complete.
func (a *Agent) Dump(ctx context.Context, r model.DumpRequest, base iter.Seq2[archive.BaseDumpFrame, error], emit Emit) (model.DumpSummary, archive.Summary, error) {
	g, both := errgroup.WithContext(ctx)
	stream, err := a.database.Dump(both, grpc.ForceCodecV2(wire.NewFrameReceiver()))
	if err != nil {
		return model.DumpSummary{}, archive.Summary{}, a.named(ctx, err)
	}
	header := &agentv1.DumpHeader{
		Name: r.Database, Format: r.Format, Level: int32(r.Level), Salvage: r.Salvage, HasBase: base != nil,
		StructureOnly: r.StructureOnly, Gentle: r.Gentle,
	}
	g.Go(func() error {
		return ended(sendBase(stream.CloseSend, func(b *agentv1.BaseIndex, end *agentv1.StreamEnd) error {
			switch {
			case b != nil:
				if err := a.slow(both, b); err != nil {
					return err
				}
				return stream.Send(&agentv1.DumpRequest{Message: &agentv1.DumpRequest_Base{Base: b}})
			case end != nil:
				return stream.Send(&agentv1.DumpRequest{Message: &agentv1.DumpRequest_End{End: end}})
			}
			return stream.Send(&agentv1.DumpRequest{Message: &agentv1.DumpRequest_Header{Header: header}})
		}, dumpBase(base)))
	})
	var (
		closing *agentv1.DumpSummary
		summary archive.Summary
	)
	g.Go(func() (err error) {
		summary, err = receive(both, &parts{}, func() (item, error) {
			m, err := slowRecv(both, a, stream.Recv)
			if m.GetStart() != nil {
				if r.Begun != nil {
					r.Begun()
				}
				m, err = slowRecv(both, a, stream.Recv)
			}
			closing = m.GetSummary()
			return item{m.GetFrame(), nil, m.GetReference(), m.GetWarning(), closing.GetStream()}, err
		}, emit)
		return err
	})
	if err := g.Wait(); err != nil {
		return model.DumpSummary{}, archive.Summary{}, a.named(ctx, err)
	}
	return model.DumpSummary{
		Charset: closing.Charset, Collation: closing.Collation, Collations: closing.Collations,
		Server: closing.Server, Tables: tables(closing.Tables),
	}, summary, nil
}

// item is one message of a stream of frames: one field is set.
type item struct {
	frame     *agentv1.Frame
	part      *agentv1.FramePart
	reference *agentv1.Reference
	warning   *agentv1.Warning
	summary   *agentv1.StreamSummary
}

// receive hands items on until the closing summary. A stream that ends without one is cut off.
func receive(ctx context.Context, parts *parts, next func() (item, error), emit Emit) (archive.Summary, error) {
	for {
		m, err := next()
		if err != nil {
			return archive.Summary{}, cutShort(err)
		}
		if m.summary != nil && parts.length == 0 {
			return wire.SummaryFromProto(m.summary), nil
		}
		it, whole, err := parts.take(m)
		if err != nil {
			return archive.Summary{}, err
		}
		if !whole {
			continue
		}
		if err := emit(ctx, it); err != nil {
			return archive.Summary{}, err
		}
		parts.taken(it)
	}
}

func (m item) archive() (archive.Item, error) {
	switch {
	case m.frame != nil:
		f, err := wire.FrameFromProto(m.frame)
		return archive.Item{Frame: &f}, err
	case m.reference != nil:
		r, err := wire.ReferenceFromProto(m.reference)
		return archive.Item{Reference: &r}, err
	case m.warning != nil:
		w := wire.WarningFromProto(m.warning)
		return archive.Item{Warning: &w}, nil
	}
	return archive.Item{}, unknownMessage()
}

// ended: io.EOF from Send says that the agent has ended the call; what it has to say comes from Recv.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// sendBase sends the header (both nil), then the base's frames in pieces, then the end.
func sendBase(closeSend func() error, send func(*agentv1.BaseIndex, *agentv1.StreamEnd) error, base iter.Seq2[*agentv1.BaseFrame, error]) error {
	if err := send(nil, nil); err != nil {
		return err
	}
	if base != nil {
		if err := sendPieces(send, base); err != nil {
			return err
		}
	}
	if err := send(nil, &agentv1.StreamEnd{}); err != nil {
		return err
	}
	return closeSend()
}

func sendPieces(send func(*agentv1.BaseIndex, *agentv1.StreamEnd) error, base iter.Seq2[*agentv1.BaseFrame, error]) error {
	piece, size := &agentv1.BaseIndex{}, 0
	for f, err := range base {
		if err != nil {
			return err
		}
		piece.Frames = append(piece.Frames, f)
		size += proto.Size(f)
		if len(piece.Frames) == basePieces || size >= baseBytes {
			if err := send(piece, nil); err != nil {
				return err
			}
			wire.Sent(piece.Frames)
			piece.Frames, size = piece.Frames[:0], 0
		}
	}
	if len(piece.Frames) == 0 {
		return nil
	}
	return send(piece, nil)
}

func treeBase(base iter.Seq2[archive.BaseFrame, error]) iter.Seq2[*agentv1.BaseFrame, error] {
	if base == nil {
		return nil
	}
	return func(yield func(*agentv1.BaseFrame, error) bool) {
		for f, err := range base {
			if !yield(wire.BaseFrameToProto(&f), err) {
				return
			}
		}
	}
}

func dumpBase(base iter.Seq2[archive.BaseDumpFrame, error]) iter.Seq2[*agentv1.BaseFrame, error] {
	if base == nil {
		return nil
	}
	return func(yield func(*agentv1.BaseFrame, error) bool) {
		for f, err := range base {
			if !yield(wire.BaseDumpFrameToProto(&f), err) {
				return
			}
		}
	}
}
