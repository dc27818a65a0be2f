package fleet

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// WriteTree makes a task's staged tree out of frames and returns its inode.
func (a *Agent) WriteTree(ctx context.Context, site model.SiteRef, task, format string, frames iter.Seq2[*archive.Frame, error]) (uint64, []string, error) {
	return a.writeTree(ctx, &agentv1.WriteTreeHeader{Site: ref(site), Task: task, Format: format, NoDump: true}, frames)
}

// WritePaths makes a staged tree out of some paths alone, with what is below them.
func (a *Agent) WritePaths(ctx context.Context, site model.SiteRef, task, format string, paths [][]byte, frames iter.Seq2[*archive.Frame, error]) ([]string, error) {
	_, warnings, err := a.writeTree(ctx, &agentv1.WriteTreeHeader{Site: ref(site), Task: task, Format: format, NoDump: true, Select: paths}, frames)
	return warnings, err
}

// The frames of a tree hold no dump: what is named like it in them is a file of the site.
func (a *Agent) writeTree(ctx context.Context, header *agentv1.WriteTreeHeader, frames iter.Seq2[*archive.Frame, error]) (uint64, []string, error) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.tree.WriteTree(call)
	if err != nil {
		return 0, nil, a.named(ctx, err)
	}
	err = sendFrames(frames, func(f *agentv1.Frame, end *agentv1.StreamEnd) error {
		switch {
		case f != nil:
			if err := a.slow(call, f); err != nil {
				return err
			}
			return stream.Send(&agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_Frame{Frame: f}})
		case end != nil:
			return stream.Send(&agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_End{End: end}})
		}
		return stream.Send(&agentv1.WriteTreeRequest{Message: &agentv1.WriteTreeRequest_Header{Header: header}})
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, a.named(ctx, err)
	}
	reply, err := stream.CloseAndRecv()
	return reply.GetStagedInode(), reply.GetWarnings(), a.named(ctx, err)
}

// Import runs a dump in a database, as its user.
func (a *Agent) Import(ctx context.Context, db model.NewDatabase, format string, frames iter.Seq2[*archive.Frame, error]) (model.ImportSummary, error) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.database.Import(call)
	if err != nil {
		return model.ImportSummary{}, a.named(ctx, err)
	}
	header := &agentv1.ImportHeader{Name: db.Name, Format: format, User: db.User, Password: db.Password}
	err = sendFrames(frames, func(f *agentv1.Frame, end *agentv1.StreamEnd) error {
		switch {
		case f != nil:
			if err := a.slow(call, f); err != nil {
				return err
			}
			return stream.Send(&agentv1.ImportRequest{Message: &agentv1.ImportRequest_Frame{Frame: f}})
		case end != nil:
			return stream.Send(&agentv1.ImportRequest{Message: &agentv1.ImportRequest_End{End: end}})
		}
		return stream.Send(&agentv1.ImportRequest{Message: &agentv1.ImportRequest_Header{Header: header}})
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return model.ImportSummary{}, a.named(ctx, err)
	}
	reply, err := stream.CloseAndRecv()
	if err != nil {
		return model.ImportSummary{}, a.named(ctx, err)
	}
	return model.ImportSummary{Bytes: reply.Bytes, Statements: reply.Statements, Tables: tables(reply.Tables), Warnings: reply.Warnings}, nil
}

// sendFrames sends the header (both nil), the frames and the end. io.EOF says
// that the agent has ended the call: its answer tells why.
func sendFrames(frames iter.Seq2[*archive.Frame, error], send func(*agentv1.Frame, *agentv1.StreamEnd) error) error {
	if err := send(nil, nil); err != nil {
		return err
	}
	for f, err := range frames {
		if err != nil {
			return err
		}
		if err := send(wire.FrameToProto(f), nil); err != nil {
			return err
		}
	}
	return send(nil, &agentv1.StreamEnd{})
}
