package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/sitekeep/sitekeep/internal/pace"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// This program is its own driver of pkg/dbdump: a process of its own, so that
// its memory and its time on the CPU are those of a dump or an import alone,
// without gRPC, master and store. What to do comes as JSON on its standard
// input, the password with it.

// driveArg, with an action, makes this program the driver.
const driveArg = "drive"

// Actions of the driver.
const (
	driveDump     = "dump"      // to a file of plain SQL
	driveDumpZstd = "dump-zstd" // to a file of the tarball's dump frames
	driveImport   = "import"    // from a file of plain SQL
)

// driveJob is what the driver is to do.
type driveJob struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Password string `json:"password"` // of root
	Database string `json:"database"`
	Path     string `json:"path"`
}

// drive prepares the driver for one action on the world's database server.
func (w *world) drive(ctx context.Context, action, database, path string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	job, err := json.Marshal(driveJob{
		Host: w.db.Addr.Addr().String(), Port: int(w.db.Addr.Port()), Password: w.db.Password, Database: database, Path: path,
	})
	if err != nil {
		return nil, err
	}
	r, wr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = wr.Write(job)
	if err = errors.Join(err, wr.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	cmd := tool(ctx, nil, self, driveArg, action)
	cmd.Stdin = r
	return cmd, nil
}

// runDriver runs the driver to its end.
func (w *world) runDriver(ctx context.Context, m *meter, action, database, path string) error {
	cmd, err := w.drive(ctx, action, database, path)
	if err != nil {
		return err
	}
	defer func() { _ = cmd.Stdin.(io.Closer).Close() }()
	return m.run(cmd)
}

// agentSpare is what cmd/agent gives the collector.
const agentSpare = 12 << 20

// drive is the driver. Its garbage is collected as an agent's is.
func drive(ctx context.Context, action string, stdin io.Reader, _ io.Writer) error {
	pace.Daemon(agentSpare)
	var job driveJob
	if err := json.NewDecoder(stdin).Decode(&job); err != nil {
		return fmt.Errorf("drive: %w", err)
	}
	in, err := dbdump.Open(ctx, dbdump.Server{
		Host: job.Host, Port: job.Port, User: "root", Password: dbdump.NewSecret(job.Password), TLS: dbdump.TLSDisabled,
	}, dbdump.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	switch action {
	case driveDump:
		return job.toFile(func(w *bufio.Writer) error { return job.dump(ctx, in, plainSink{w}) })
	case driveDumpZstd:
		return job.toFile(func(w *bufio.Writer) error { return job.dumpFrames(ctx, in, w) })
	case driveImport:
		return job.importFile(ctx, in)
	}
	return fmt.Errorf("drive: unknown action %q", action)
}

func (j driveJob) toFile(fill func(*bufio.Writer) error) error {
	f, err := os.OpenFile(j.Path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(fill(w), w.Flush(), f.Close())
}

func (j driveJob) dump(ctx context.Context, in *dbdump.Instance, sink dbdump.Sink) error {
	_, err := in.Dump(ctx, dbdump.DumpOptions{Database: j.Database}, sink)
	return err
}

// plainSink writes a dump as it is.
type plainSink struct{ w io.Writer }

func (plainSink) BeginSection(dbdump.Section) error { return nil }

func (s plainSink) Statement(b []byte, _ bool, _ int64) error {
	_, err := s.w.Write(b)
	return err
}

// dumpFrames compresses the dump as the agent does: into frames, at the
// master's usual level.
func (j driveJob) dumpFrames(ctx context.Context, in *dbdump.Instance, w io.Writer) error {
	codec, err := archive.NewCodec(archive.TarZstd, usualZstdLevel)
	if err != nil {
		return err
	}
	framer, err := archive.NewDumpFramer(ctx, archive.DumpOptions{Codec: codec}, func(_ context.Context, item archive.Item) error {
		if item.Frame == nil {
			return nil
		}
		_, err := w.Write(item.Frame.Data)
		return err
	})
	if err != nil {
		return err
	}
	defer framer.Abort()
	if err := j.dump(ctx, in, &frameSink{framer: framer}); err != nil {
		return err
	}
	_, err = framer.Close()
	return err
}

// usualZstdLevel is the default of zstd_level in master.yaml.
const usualZstdLevel = 1

// frameSink hands a dump to a framer, its tables' data as sections.
type frameSink struct {
	framer *archive.DumpFramer
	rows   int64 // of the statement so far
}

func (s *frameSink) BeginSection(section dbdump.Section) error {
	kind := archive.SectionTable
	if section.Kind == dbdump.SectionData {
		kind = archive.SectionData
	}
	return s.framer.BeginSection(kind, section.Name)
}

func (s *frameSink) Statement(b []byte, end bool, rows int64) error {
	s.rows += rows
	if _, err := s.framer.Write(b); err != nil {
		return err
	}
	if !end {
		return nil
	}
	rows, s.rows = s.rows, 0
	return s.framer.EndStatement(rows)
}

// importUser is the account that the driver's imports run under.
const importUser = "bench_import"

func (j driveJob) importFile(ctx context.Context, in *dbdump.Instance) error {
	f, err := os.Open(j.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = in.Import(ctx, dbdump.ImportOptions{Database: j.Database, TemporaryUser: importUser}, f)
	return err
}
