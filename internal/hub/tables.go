package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// copyStream hands on what comes from r and returns its SHA-256 in hexadecimal. An error of r is returned with failed set.
func copyStream(r io.Reader, send func([]byte) error) (sum string, failed bool, err error) {
	hash := sha256.New()
	buf := make([]byte, chunk)
	for {
		n, err := r.Read(buf)
		hash.Write(buf[:n])
		if n > 0 {
			if err := send(buf[:n]); err != nil {
				return "", false, err
			}
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(hash.Sum(nil)), false, nil
		}
		if err != nil {
			return "", true, err
		}
	}
}

// unreadable says of a backup that something in it cannot be read back.
func unreadable(id, what string, err error) error {
	if errors.Is(err, archive.ErrCorrupt) {
		return errs.New(errs.Corrupt, "check it with: sitekeep check --read-data "+id, "read %s of backup %s: %w", what, id, err)
	}
	return fmt.Errorf("read %s of backup %s: %w", what, id, err)
}

func noDump(id string) error {
	return errs.New(errs.NotFound, "see what is there with: sitekeep ls "+id, "backup %s holds no database", id)
}

// ListTables lists what the dump makes.
func (s *backupService) ListTables(q *sitekeepv1.ListTablesRequest, stream sitekeepv1.BackupService_ListTablesServer) error {
	ctx := stream.Context()
	return s.withTarball(ctx, q.Id, func(id string, t *backup.Tarball) error {
		if t.Manifest().GetDump() == nil {
			return noDump(id)
		}
		tables, err := t.NamedTables(ctx)
		if err != nil {
			return err
		}
		bare := structureOnly(t)
		for len(tables) > 0 {
			n := min(entriesChunk, len(tables))
			piece := &sitekeepv1.ListTablesResponse{}
			for i := range tables[:n] {
				table := tableToProto(&tables[i])
				table.StructureOnly = bare[tables[i].Name]
				piece.Tables = append(piece.Tables, table)
			}
			if err := stream.Send(piece); err != nil {
				return err
			}
			tables = tables[n:]
		}
		return nil
	})
}

// structureOnly returns the tables whose rows the backup left out on purpose.
func structureOnly(t *backup.Tarball) map[string]bool {
	bare := map[string]bool{}
	for _, table := range t.Manifest().GetDump().GetTables() {
		bare[table.GetName()] = table.GetStructureOnly()
	}
	return bare
}

func tableToProto(t *archive.Table) *sitekeepv1.Table {
	if t == nil {
		return nil
	}
	kind := string(t.Kind)
	switch t.Kind {
	case archive.SectionRoutine:
		kind = "routines"
	case archive.SectionEvent:
		kind = "events"
	}
	return &sitekeepv1.Table{
		Name: strings.ToValidUTF8(t.Name, "\uFFFD"), Kind: kind, Rows: t.Rows, Bytes: t.Bytes, PackedBytes: t.Packed,
	}
}

// ReadTables reads the frames of the tables, of the head and of the tail, and no others.
func (s *backupService) ReadTables(q *sitekeepv1.ReadTablesRequest, stream sitekeepv1.BackupService_ReadTablesServer) error {
	ctx := stream.Context()
	if len(q.Tables) == 0 {
		return errs.New(errs.Usage, "name a table; list them with: sitekeep ls --tables "+q.Id, "which tables?")
	}
	return s.withTarball(ctx, q.Id, func(id string, t *backup.Tarball) error {
		if t.Manifest().GetDump() == nil {
			return noDump(id)
		}
		tables, err := t.SelectTables(ctx, id, q.Tables)
		if err != nil {
			return err
		}
		sql, err := t.OpenTables(ctx, tables)
		if err != nil {
			return err
		}
		defer sql.Close()
		sum, failed, err := copyStream(sql, func(data []byte) error { return stream.Send(&sitekeepv1.ReadTablesResponse{Data: data}) })
		if failed {
			return unreadable(id, "tables", err)
		}
		if err != nil {
			return err
		}
		return stream.Send(&sitekeepv1.ReadTablesResponse{Sha256: sum})
	})
}
