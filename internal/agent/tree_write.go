package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// maxWarnings bounds what a response tells; a response is one message.
const maxWarnings = 1000

type writeTreeStream = grpc.ClientStreamingServer[agentv1.WriteTreeRequest, agentv1.WriteTreeResponse]

// WriteTree makes the staged tree. Whatever goes wrong, and if the end mark does not come, nothing of it stays.
func (s *treeService) WriteTree(stream writeTreeStream) error {
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
	var (
		warned  warningList
		summary archive.Summary
	)
	ctx := stream.Context()
	inode, err := s.stager.Fill(ctx, site, header.GetTask(), func(dir *os.Root) (err error) {
		opts := archive.ExtractOptions{WithDump: header.GetNoDump(), Warn: func(w archive.Warning) { warned.add(w.String()) }}
		opts.Select = selection(header.GetSelect())
		summary, err = extract(ctx, dir, format, opts, treeFrames(stream))
		return err
	})
	if err != nil {
		return treeError(err)
	}
	return stream.SendAndClose(&agentv1.WriteTreeResponse{
		Entries: uint64(summary.Entries), Bytes: uint64(summary.Bytes), Warnings: warned.lines(), StagedInode: inode,
	})
}

// treeHeader is what both ways to make a staged tree begin with.
type treeHeader interface {
	GetSite() *agentv1.SiteRef
	GetTask() string
	GetFormat() string
}

// target checks where a staged tree is to be made, and of what.
func (s *treeService) target(h treeHeader) (*guard.Site, archive.Format, error) {
	site, err := s.siteAndTask(h.GetSite(), h.GetTask())
	if err != nil {
		return nil, "", err
	}
	format, err := archive.ParseFormat(h.GetFormat())
	if err != nil {
		return nil, "", errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
	}
	return site, format, nil
}

// extract turns frames into files in dir. next gives io.EOF after the last.
func extract(ctx context.Context, dir *os.Root, format archive.Format, opts archive.ExtractOptions, next func() (archive.Frame, error)) (archive.Summary, error) {
	x, err := archive.NewExtractor(ctx, dir, format, opts)
	if err != nil {
		return archive.Summary{}, err
	}
	defer x.Abort()
	for {
		frame, err := next()
		if errors.Is(err, io.EOF) {
			return x.Finish(ctx)
		}
		if err != nil {
			return archive.Summary{}, err
		}
		if err := x.Put(ctx, frame); err != nil {
			return archive.Summary{}, err
		}
	}
}

// treeFrames reads frames until the end mark, then gives io.EOF. A stream that ends without is another error.
func treeFrames(stream writeTreeStream) func() (archive.Frame, error) {
	return func() (archive.Frame, error) {
		m, err := stream.Recv()
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
}

// warningList keeps the first warnings and counts the rest.
type warningList struct {
	list []string
	more int
}

func (w *warningList) add(line string) {
	if len(w.list) < maxWarnings {
		w.list = append(w.list, line)
		return
	}
	w.more++
}

func (w *warningList) lines() []string {
	if w.more == 0 {
		return w.list
	}
	return append(w.list, fmt.Sprintf("and %d warnings more", w.more))
}
