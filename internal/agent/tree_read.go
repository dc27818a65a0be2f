package agent

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type readTreeStream = grpc.BidiStreamingServer[agentv1.ReadTreeRequest, agentv1.ReadTreeResponse]

// ReadTree walks the site and sends frames as they come; the base's index arrives meanwhile.
func (s *treeService) ReadTree(stream readTreeStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return noHeader()
	}
	site, err := s.site(header.GetSite())
	if err != nil {
		return err
	}
	codec, err := codecOf(header.GetFormat(), header.GetLevel())
	if err != nil {
		return err
	}
	if err := s.turn(stream.Context(), header.GetGentle()); err != nil {
		return err
	}
	root, err := site.OpenRoot()
	if err != nil {
		return s.withoutRoot(stream, header, site, err)
	}
	defer root.Close()
	opts, start := sourceOptions(stream, header, codec, s.now), &agentv1.ReadTreeStart{}
	opts.Exclude = append(opts.Exclude, s.ownSwitches(stream.Context(), site)...)
	out := &blanks{}
	if header.GetBlankCredentials() {
		if out, err = s.blank(stream.Context(), site, header.GetSalvage()); err != nil {
			return err
		}
		opts.Instead, start.BlanksCredentials, start.Blanked = out.files, true, out.paths()
	}
	defer s.giveWay(header.GetGentle(), &opts)()
	return s.send(&treeSender{readTreeStream: stream, size: int(header.GetPartSize()), held: header.GetHeld()}, root, opts, start, out.warnings)
}

func sourceOptions(stream readTreeStream, header *agentv1.ReadTreeHeader, codec archive.Codec, now func() time.Time) archive.SourceOptions {
	opts := archive.SourceOptions{
		Codec: codec, NoDump: header.GetNoDump(),
		// Another site's staging directory may lie in this one's tree.
		Exclude:      append([]string{guard.StagingPrefix + "*/"}, header.GetExcludes()...),
		CacheDirTags: header.GetExcludeCaches(), ReadAll: header.GetReadAll(), SendAll: header.GetSendAll(), Clock: now,
	}
	if header.GetHasBase() {
		opts.BaseStarted = header.GetBaseStartedAt().AsTime()
		if header.GetPartial() {
			opts.Partial, opts.PartialStarted = true, wire.TimeFromProto(header.GetPartialStartedAt())
		}
		opts.Base = baseFrames(func() (*agentv1.BaseIndex, *agentv1.StreamEnd, error) {
			m, err := stream.Recv()
			return m.GetBase(), m.GetEnd(), err
		}, wire.BaseFrameFromProto)
	}
	return opts
}

func (s *treeService) send(stream *treeSender, root *os.Root, opts archive.SourceOptions, start *agentv1.ReadTreeStart, warnings []archive.Warning) error {
	source, err := archive.NewSource(root, opts)
	if err != nil {
		return errs.New(errs.Usage, "correct the site's settings, such as its excludes", "%w", err)
	}
	start.StartedAt = timestamppb.New(s.now())
	if err := stream.Send(&agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Start{Start: start}}); err != nil {
		return err
	}
	for i := range warnings {
		if err := stream.item(archive.Item{Warning: &warnings[i]}); err != nil {
			return err
		}
	}
	summary, err := source.Run(stream.Context(), func(_ context.Context, item archive.Item) error {
		return stream.item(item)
	})
	if err != nil {
		return treeError(err)
	}
	summary.Warnings += int64(len(warnings))
	return stream.Send(treeSummary(&summary))
}

// withoutRoot sends an empty tree with a warning, where the backup is to take what there is.
func (s *treeService) withoutRoot(stream readTreeStream, header *agentv1.ReadTreeHeader, site *guard.Site, cause error) error {
	if !header.GetSalvage() || !errs.Is(cause, errs.NotFound) && !errs.Is(cause, errs.Precondition) {
		return cause
	}
	warning := archive.Warning{Kind: archive.WarnUnreadable, Path: "./", Detail: "the directory " + site.Root + " cannot be read: " + cause.Error()}
	if err := stream.Send(treeItem(archive.Item{Warning: &warning})); err != nil {
		return err
	}
	now := s.now()
	return stream.Send(treeSummary(&archive.Summary{Warnings: 1, StartedAt: now, FinishedAt: now}))
}

func treeItem(item archive.Item) *agentv1.ReadTreeResponse {
	switch {
	case item.Frame != nil:
		return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: wire.FrameToProto(item.Frame)}}
	case item.Reference != nil:
		return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Reference{Reference: wire.ReferenceToProto(item.Reference)}}
	}
	return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Warning{Warning: wire.WarningToProto(item.Warning)}}
}

func treeSummary(s *archive.Summary) *agentv1.ReadTreeResponse {
	return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Summary{Summary: wire.SummaryToProto(s)}}
}

// baseFrames yields what comes down of the base until its end mark. A stream that ends without is an error.
func baseFrames[F any](next func() (*agentv1.BaseIndex, *agentv1.StreamEnd, error), convert func(*agentv1.BaseFrame) (F, error)) iter.Seq2[F, error] {
	return func(yield func(F, error) bool) {
		var none F
		for {
			piece, end, err := next()
			switch {
			case err != nil:
				yield(none, cutOff(err, "the base's index"))
				return
			case end != nil:
				return
			case piece == nil:
				yield(none, noHeader())
				return
			}
			for _, p := range piece.GetFrames() {
				if f, err := convert(p); !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

func codecOf(format string, level int32) (archive.Codec, error) {
	f, err := archive.ParseFormat(format)
	if err != nil {
		return archive.Codec{}, errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
	}
	codec, err := archive.NewCodec(f, int(level))
	if err != nil {
		return archive.Codec{}, errs.New(errs.Usage, "use another level, or 0 for the default", "%w", err)
	}
	return codec, nil
}

func noHeader() error {
	return errs.New(errs.Usage, "install the same version of Sitekeep on both sides", "the stream has a message where it does not belong")
}

// cutOff names the stream that ended before its end mark.
func cutOff(err error, what string) error {
	if errors.Is(err, io.EOF) {
		return errs.New(errs.Unreachable, "", "%s ended without its end mark", what)
	}
	return err
}
