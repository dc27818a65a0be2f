package hub

import (
	"context"
	"errors"
	"io"
	"path"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type importStream = grpc.ClientStreamingServer[sitekeepv1.ImportBackupRequest, sitekeepv1.ImportBackupResponse]

// ImportBackup takes a tarball in. Nothing is listed before the caller has sent all of it.
func (s *backupService) ImportBackup(stream importStream) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if first.GetHeader() == nil {
		return errs.New(errs.Usage, "use a client of the same version", "the first message has no header")
	}
	q, err := s.importRequest(ctx, first.GetHeader())
	if err != nil {
		return err
	}
	u := &upload{stream: stream, rest: first.GetData()}
	got, err := s.Importer.Import(ctx, q, intake.Upload{Tarball: u, Dump: u.dump})
	if err != nil {
		return err
	}
	return stream.SendAndClose(&sitekeepv1.ImportBackupResponse{
		Backup: backupToProto(got.Backup), Kind: got.Kind, OldName: got.OldName, Docroot: got.Docroot, Warnings: got.Backup.Warnings,
	})
}

// importRequest checks a header. A site that is not under care is anybody's, so it is not for those who have a client.
func (s *backupService) importRequest(ctx context.Context, h *sitekeepv1.ImportHeader) (intake.Request, error) {
	q := intake.Request{
		Site: h.GetSite(), Source: path.Base(h.GetSource()), Description: h.GetDescription(), Format: h.GetFormat(), Kind: h.GetKind(),
		FilesOnly: h.GetFilesOnly(), Size: h.GetSize(),
	}
	if h.GetSource() == "" {
		q.Source = ""
	}
	if err := model.CheckSiteName(q.Site); err != nil {
		return q, err
	}
	if callerFrom(ctx).client != "" {
		if _, err := s.site(ctx, q.Site); err != nil {
			return q, err
		}
	}
	if q.Format != "" {
		if _, err := archive.ParseFormat(q.Format); err != nil {
			return q, errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
		}
	}
	for what, text := range map[string]string{"description": q.Description, "source": q.Source} {
		if n := utf8.RuneCountInString(text); n > longDescription {
			return q, errs.New(errs.Usage, "shorten it", "the %s has %d characters, more than %d", what, n, longDescription)
		}
	}
	if q.Size < 0 {
		return q, errs.New(errs.Usage, "", "a tarball cannot have %d bytes", q.Size)
	}
	return q, nil
}

// upload reads the bytes of a tarball off a stream, and then those of the dump.
type upload struct {
	stream   importStream
	rest     []byte
	name     string // of the dump, once its message has come
	dumping  bool   // Read gives the dump
	finished bool
}

// Read implements io.Reader. It ends with the tarball, and after dump was called with the dump.
func (u *upload) Read(p []byte) (int, error) {
	for len(u.rest) == 0 || u.name != "" && !u.dumping {
		if u.finished || u.name != "" && !u.dumping {
			return 0, io.EOF
		}
		if err := u.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *upload) next() error {
	m, err := u.stream.Recv()
	if errors.Is(err, io.EOF) {
		u.finished = true
		return nil
	}
	if err != nil {
		return err
	}
	if m.GetHeader() != nil || m.GetDumpName() != "" && u.name != "" {
		return errs.New(errs.Usage, "use a client of the same version", "the upload has more than one header, or more than one dump")
	}
	u.rest, u.name = m.GetData(), u.name+m.GetDumpName()
	return nil
}

// dump is an intake.Upload's: it is called when the tarball has ended.
func (u *upload) dump() (string, io.Reader, error) {
	if u.name == "" {
		return "", nil, nil
	}
	u.dumping = true
	return path.Base(u.name), u, nil
}
