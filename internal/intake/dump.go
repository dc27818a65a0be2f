package intake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// dumpSource is a dump that has come, packed as it was.
type dumpSource struct {
	name string
	data *io.SectionReader
}

// packDump turns the dump into frames.
func (j *job) packDump(ctx context.Context, codec archive.Codec) error {
	if j.dump == nil {
		return nil
	}
	framer, err := archive.NewDumpFramer(ctx, archive.DumpOptions{Codec: codec, Clock: j.deps.Now}, func(ctx context.Context, it archive.Item) error {
		if it.Frame == nil {
			return nil
		}
		if err := j.room.take(ctx, 2*int64(len(it.Frame.Data))); err != nil { // in the spool, and in the tarball
			return err
		}
		return j.assembler.Append(ctx, *it.Frame)
	})
	if err != nil {
		return err
	}
	defer framer.Abort()
	sql, _, err := unpack(ctx, bufio.NewReaderSize(j.dump.data, 1<<20))
	if err != nil {
		return j.dumpError(err)
	}
	defer sql.Close() //nolint:errcheck // it was read to its end, or is worthless
	if j.adopted, err = dbdump.Adopt(ctx, sql, &dumpSink{framer: framer}); err != nil {
		return j.dumpError(err)
	}
	for _, w := range j.adopted.Warnings {
		j.warn.add("dump %s: %s", j.dump.name, w.Message)
	}
	sum, err := framer.Close()
	if err != nil {
		return err
	}
	return j.assembler.CloseDump(sum)
}

// dumpError gives what is wrong with a dump its kind and hint.
func (j *job) dumpError(err error) error {
	var known *errs.Error
	var e *dbdump.Error
	switch {
	case errors.As(err, &known):
		return err
	case !errors.As(err, &e), e.Kind == dbdump.KindSink:
		return errs.New(errs.Corrupt, hintCut, "the dump %s is damaged: %w", j.dump.name, err)
	case e.Kind == dbdump.KindCancelled:
		return err
	case e.Kind == dbdump.KindIncomplete:
		return errs.New(errs.Corrupt, e.Hint, "the dump %s: %w", j.dump.name, err)
	}
	return errs.New(errs.Precondition, e.Hint, "the dump %s: %w", j.dump.name, err)
}

// dumpSink hands the parts of a dump to a framer.
type dumpSink struct {
	framer *archive.DumpFramer
	rows   int64 // of the statement so far
}

// sectionKinds are the words of the tarball for those of pkg/dbdump.
var sectionKinds = map[dbdump.SectionKind]archive.SectionKind{
	dbdump.SectionPreamble: archive.SectionHead, dbdump.SectionSequence: archive.SectionSequence,
	dbdump.SectionStructure: archive.SectionTable, dbdump.SectionData: archive.SectionData,
	dbdump.SectionTriggers: archive.SectionTrigger, dbdump.SectionPlaceholder: archive.SectionView,
	dbdump.SectionView: archive.SectionView, dbdump.SectionEvents: archive.SectionEvent,
	dbdump.SectionRoutines: archive.SectionRoutine, dbdump.SectionTrailer: archive.SectionTail,
}

// BeginSection implements dbdump.Sink.
func (s *dumpSink) BeginSection(section dbdump.Section) error {
	return s.framer.BeginSection(sectionKinds[section.Kind], section.Name)
}

// Statement implements dbdump.Sink.
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

// dumpManifest says what the manifest says of the dump. What the dump itself does not tell, a manifest of ours may.
func (j *job) dumpManifest() *archivev1.Dump {
	a, was := &j.adopted, j.manifest.GetDump()
	d := &archivev1.Dump{
		Database: a.Database, Charset: a.Charset, Collation: a.Collation, ServerVersion: a.Server, Dumper: a.Dumper,
		Tables: j.tables(),
	}
	if was.GetCharset() != "" {
		d.Charset, d.Collation = was.GetCharset(), was.GetCollation()
	}
	if was != nil {
		d.Database, d.ServerVersion = was.GetDatabase(), was.GetServerVersion()
	}
	return d
}

// tables lists what the dump makes. A view that has a placeholder counts once.
func (j *job) tables() []*archivev1.Table {
	var out []*archivev1.Table
	rows, sums := j.adopted.TableRows(), j.adopted.TableChecksums()
	listed := map[string]bool{}
	for _, s := range j.adopted.Sections {
		t := &archivev1.Table{Name: strings.ToValidUTF8(s.Name, "\uFFFD"), Bytes: uint64(s.Bytes)}
		switch s.Kind {
		case dbdump.SectionStructure:
			t.Kind, t.Rows, t.Checksum = "table", uint64(rows[s.Name]), sums[s.Name]
		case dbdump.SectionView, dbdump.SectionSequence:
			t.Kind = "view"
		}
		if t.Kind != "" && !listed[s.Name] {
			listed[s.Name] = true
			out = append(out, t)
		}
	}
	return out
}
