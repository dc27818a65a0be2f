package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type dumpStream = grpc.BidiStreamingServer[agentv1.DumpRequest, agentv1.DumpResponse]

// Dump sends frames while the database server is read; nothing is kept here.
func (s *databaseService) Dump(stream dumpStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return noHeader()
	}
	codec, err := codecOf(header.GetFormat(), header.GetLevel())
	if err != nil {
		return err
	}
	ctx := stream.Context()
	if err := s.turn(ctx, header.GetGentle()); err != nil {
		return err
	}
	return s.withDatabase(ctx, header.GetName(), func(in *dbdump.Instance) error {
		info, err := in.Inspect(ctx, header.GetName())
		if err != nil {
			return err
		}
		if err := stream.Send(&agentv1.DumpResponse{Message: &agentv1.DumpResponse_Start{Start: &agentv1.DumpStart{}}}); err != nil {
			return err
		}
		what := s.databaseOptions(header)
		what.Inspected = &info
		defer s.giveWayDumping(header.GetGentle(), &what)()
		dumped, framed, err := dumpFrames(ctx, in, what, dumpOptions(stream, header, codec), stream.Send)
		if err != nil {
			return err
		}
		return closeDump(stream, info, dumped, framed)
	})
}

func dumpOptions(stream dumpStream, header *agentv1.DumpHeader, codec archive.Codec) archive.DumpOptions {
	opts := archive.DumpOptions{Codec: codec}
	if header.GetHasBase() {
		opts.Base = baseFrames(func() (*agentv1.BaseIndex, *agentv1.StreamEnd, error) {
			m, err := stream.Recv()
			return m.GetBase(), m.GetEnd(), err
		}, wire.BaseDumpFrameFromProto)
	}
	return opts
}

// databaseOptions joins what the master asks for with the agent's own settings.
func (a *Agent) databaseOptions(header *agentv1.DumpHeader) dbdump.DumpOptions {
	own := a.cfg.MySQL.Dump
	return dbdump.DumpOptions{
		Database: header.GetName(), Salvage: header.GetSalvage(),
		Engine:            dbdump.Engine(own.Engine),
		Parallel:          own.Parallel,
		StructureOnly:     slices.Concat(own.StructureOnly, header.GetStructureOnly()),
		LockTables:        own.LockTables,
		MaxThreadsRunning: own.MaxThreadsRunning,
	}
}

// dumpFrames runs the dump through the framer. The framer is closed only if the dump is complete.
func dumpFrames(ctx context.Context, in *dbdump.Instance, what dbdump.DumpOptions, opts archive.DumpOptions, send func(*agentv1.DumpResponse) error) (dbdump.DumpSummary, archive.Summary, error) {
	framer, err := archive.NewDumpFramer(ctx, opts, func(_ context.Context, item archive.Item) error { return send(dumpItem(item)) })
	if err != nil {
		return dbdump.DumpSummary{}, archive.Summary{}, errs.New(errs.Usage, "use another compression", "%w", err)
	}
	defer framer.Abort()
	dumped, err := in.Dump(ctx, what, &dumpSink{framer: framer})
	if err != nil {
		return dumped, archive.Summary{}, err
	}
	framed, err := framer.Close()
	return dumped, framed, err
}

// closeDump sends warnings and the closing summary.
func closeDump(stream dumpStream, info dbdump.DatabaseInfo, dumped dbdump.DumpSummary, framed archive.Summary) error {
	for _, w := range dumped.Warnings {
		if err := stream.Send(&agentv1.DumpResponse{Message: &agentv1.DumpResponse_Warning{Warning: &agentv1.Warning{
			Subject: validName(w.Subject), Text: validName(w.Message), Kind: string(w.Code),
		}}}); err != nil {
			return err
		}
	}
	framed.Warnings += int64(len(dumped.Warnings))
	return stream.Send(&agentv1.DumpResponse{Message: &agentv1.DumpResponse_Summary{Summary: &agentv1.DumpSummary{
		Stream: wire.SummaryToProto(&framed), Charset: dumped.Charset, Collation: dumped.Collation,
		Server: dumped.Server.Full, Tables: dumpedTables(info, dumped), Collations: dumped.Collations,
	}}})
}

func dumpItem(item archive.Item) *agentv1.DumpResponse {
	switch {
	case item.Frame != nil:
		return &agentv1.DumpResponse{Message: &agentv1.DumpResponse_Frame{Frame: wire.FrameToProto(item.Frame)}}
	case item.Reference != nil:
		return &agentv1.DumpResponse{Message: &agentv1.DumpResponse_Reference{Reference: wire.ReferenceToProto(item.Reference)}}
	}
	return &agentv1.DumpResponse{Message: &agentv1.DumpResponse_Warning{Warning: wire.WarningToProto(item.Warning)}}
}

// dumpedTables lists what is in the dump: what a salvage has left out is not. Names and rows are the dump's own.
func dumpedTables(info dbdump.DatabaseInfo, dumped dbdump.DumpSummary) []*agentv1.TableInfo {
	engines := map[string]string{}
	for _, t := range info.Tables {
		engines[t.Name] = t.Engine
	}
	rows, sums := dumped.TableRows(), dumped.TableChecksums()
	bare := dumped.StructureOnly
	var out []*agentv1.TableInfo
	for _, s := range dumped.Sections {
		switch s.Kind {
		case dbdump.SectionStructure:
			out = append(out, &agentv1.TableInfo{Name: validName(s.Name), Rows: uint64(rows[s.Name]), Engine: engines[s.Name], Checksum: sums[s.Name], StructureOnly: slices.Contains(bare, s.Name)})
		case dbdump.SectionView, dbdump.SectionSequence:
			out = append(out, &agentv1.TableInfo{Name: validName(s.Name), View: true, Engine: engines[s.Name]})
		}
	}
	return out
}

// dumpSink hands the parts of a dump to a framer.
type dumpSink struct {
	framer *archive.DumpFramer
	rows   int64 // of the statement so far
}

func (s *dumpSink) BeginSection(section dbdump.Section) error {
	return s.framer.BeginSection(sectionKind(section.Kind), section.Name)
}

func (s *dumpSink) Statement(b []byte, end bool, rows int64) error {
	s.rows += rows
	if _, err := s.framer.Write(b); err != nil {
		return fmt.Errorf("frame the dump: %w", err)
	}
	if !end {
		return nil
	}
	rows, s.rows = s.rows, 0
	return s.framer.EndStatement(rows)
}

// sectionKind translates the words of pkg/dbdump to those of the tarball.
func sectionKind(kind dbdump.SectionKind) archive.SectionKind {
	switch kind {
	case dbdump.SectionPreamble:
		return archive.SectionHead
	case dbdump.SectionSequence:
		return archive.SectionSequence
	case dbdump.SectionStructure:
		return archive.SectionTable
	case dbdump.SectionData:
		return archive.SectionData
	case dbdump.SectionTriggers:
		return archive.SectionTrigger
	case dbdump.SectionPlaceholder, dbdump.SectionView:
		return archive.SectionView
	case dbdump.SectionEvents:
		return archive.SectionEvent
	case dbdump.SectionRoutines:
		return archive.SectionRoutine
	case dbdump.SectionTrailer:
		return archive.SectionTail
	}
	return archive.SectionKind(kind)
}

// validName makes a name fit for a message: names in MySQL are UTF-8, those in messages of its tools need not be.
func validName(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
