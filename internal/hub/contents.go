package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// copyChunks hands size bytes on and returns their SHA-256 in hexadecimal.
func copyChunks(r io.ReaderAt, size int64, send func([]byte) error) (string, error) {
	sum := sha256.New()
	buf := make([]byte, chunk)
	for at := int64(0); at < size; {
		n, err := r.ReadAt(buf[:min(int64(chunk), size-at)], at)
		if n == 0 && err != nil {
			return "", err
		}
		sum.Write(buf[:n])
		if err := send(buf[:n]); err != nil {
			return "", err
		}
		at += int64(n)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// inside brings a path that a caller gives into the tarball's form: "./" for the top, "./a/b" below.
func inside(p string) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	return "./" + p
}

// below reports whether entry is what top names, or lies under it, and how deep.
func below(top, entry string) (depth int, ok bool) {
	if entry == top {
		return 0, true
	}
	rest, ok := strings.CutPrefix(entry, strings.TrimSuffix(top, "/")+"/")
	if !ok || rest == "" {
		return 0, false
	}
	return 1 + strings.Count(strings.TrimSuffix(rest, "/"), "/"), true
}

// asked is the path of a request: raw bytes where it is not UTF-8.
func asked(name string, raw []byte) string {
	if len(raw) > 0 {
		return string(raw)
	}
	return name
}

// withTarball opens a backup that the caller may see for f.
func (s *backupService) withTarball(ctx context.Context, id string, f func(id string, t *backup.Tarball) error) error {
	b, err := s.backup(ctx, id, "")
	if err != nil {
		return err
	}
	t, err := backup.OpenTarball(ctx, s.Store, &b)
	if err != nil {
		return err
	}
	defer t.Close()
	return f(b.ID, t)
}

// ListEntries lists a directory's children, everything below it, or the one file that the path names.
func (s *backupService) ListEntries(q *sitekeepv1.ListEntriesRequest, stream sitekeepv1.BackupService_ListEntriesServer) error {
	return s.withTarball(stream.Context(), q.Id, func(id string, t *backup.Tarball) error {
		p := asked(q.Path, q.RawPath)
		l := lister{top: inside(p), recursive: q.Recursive, send: stream.Send}
		for e, err := range t.Entries() {
			if err == nil {
				err = l.take(&e)
			}
			if err != nil {
				return err
			}
		}
		if !l.found {
			return noEntry(id, p)
		}
		return l.flush()
	})
}

func noEntry(id, p string) error {
	return errs.New(errs.NotFound, "see what is there with: sitekeep ls "+id, "%q is not in backup %s", p, id)
}

// lister picks the entries of one answer and sends them in pieces.
type lister struct {
	top       string
	recursive bool
	found     bool
	send      func(*sitekeepv1.ListEntriesResponse) error
	piece     []*sitekeepv1.Entry
}

func (l *lister) take(e *archive.Entry) error {
	depth, ok := below(l.top, trimSlash(e.Path))
	if !ok {
		return nil
	}
	l.found = true
	if depth == 0 && e.Type == archive.TypeDirectory || depth > 1 && !l.recursive {
		return nil
	}
	l.piece = append(l.piece, entryToProto(e))
	if len(l.piece) < entriesChunk {
		return nil
	}
	return l.flush()
}

func (l *lister) flush() error {
	if len(l.piece) == 0 {
		return nil
	}
	piece := l.piece
	l.piece = nil
	return l.send(&sitekeepv1.ListEntriesResponse{Entries: piece})
}

// trimSlash leaves the root's "./" as it is.
func trimSlash(p string) string {
	if p == "./" {
		return p
	}
	return strings.TrimSuffix(p, "/")
}

func entryToProto(e *archive.Entry) *sitekeepv1.Entry {
	name := strings.TrimPrefix(trimSlash(e.Path), "./")
	out := &sitekeepv1.Entry{
		Path: strings.ToValidUTF8(name, "\uFFFD"), RawPath: []byte(name), Size: e.Size, Mode: e.Mode, ModifiedAt: timestamppb.New(e.ModTime),
		Owner: strings.ToValidUTF8(e.Uname, "\uFFFD"), Group: strings.ToValidUTF8(e.Gname, "\uFFFD"), Uid: e.UID, Gid: e.GID,
		LinkTarget: strings.ToValidUTF8(e.LinkTarget, "\uFFFD"),
	}
	switch e.Type {
	case archive.TypeRegular:
		out.Type, out.Sha256 = "file", e.ContentHash.String()
	case archive.TypeDirectory:
		out.Type = "dir"
	case archive.TypeSymlink:
		out.Type = "symlink"
	case archive.TypeHardlink:
		out.Type = "hardlink"
	}
	return out
}

// ReadEntry reads the frames of one file, and no others.
func (s *backupService) ReadEntry(q *sitekeepv1.ReadEntryRequest, stream sitekeepv1.BackupService_ReadEntryServer) error {
	return s.withTarball(stream.Context(), q.Id, func(id string, t *backup.Tarball) error {
		p := asked(q.Path, q.RawPath)
		content, err := openEntry(stream, t, &id, p)
		if err != nil {
			return err
		}
		defer content.Close()
		sum, failed, err := copyStream(content, func(data []byte) error { return stream.Send(&sitekeepv1.ReadEntryResponse{Data: data}) })
		switch {
		case failed:
			return errs.New(errs.Corrupt, "check it with: sitekeep check --read-data "+id, "read %q of backup %s: %w", p, id, err)
		case err != nil:
			return err
		}
		return stream.Send(&sitekeepv1.ReadEntryResponse{Sha256: sum})
	})
}

func openEntry(stream sitekeepv1.BackupService_ReadEntryServer, t *backup.Tarball, id *string, p string) (io.ReadCloser, error) {
	e, err := t.Lookup(inside(p))
	if errors.Is(err, archive.ErrNotFound) {
		return nil, noEntry(*id, p)
	}
	if err != nil {
		return nil, err
	}
	content, err := t.OpenEntry(stream.Context(), e)
	if errors.Is(err, archive.ErrNotRegular) {
		return nil, errs.New(errs.Usage, "list it with: sitekeep ls "+*id+" "+p, "%q is a %s, not a file", p, e.Type)
	}
	return content, err
}
