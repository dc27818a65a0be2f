// Package store keeps tarballs. A store takes a backup wholly or not at all,
// gives its bytes back, and cleans up after a crash. This file says what every
// kind of store offers (storetest checks it); Local is the directory on the
// master's own disk. The package refuses to know what is inside a tarball or
// its sidecar, which backups ought to exist (its callers ask the catalogue)
// and when one should go.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// The formats, which are also the tarballs' suffixes.
const (
	TarZst = "tar.zst"
	TarGz  = "tar.gz"
)

// Entry is one complete tarball.
type Entry struct {
	ID     string
	Format string
	Size   int64 // bytes
}

// Space is how much room a store has left. A file system that does not count
// inodes reports the largest number.
type Space struct {
	Bytes  int64
	Inodes int64
}

// Blob is an open tarball. It stays readable when the backup is deleted
// meanwhile. Whoever opened it closes it. A blob may also be a Filer.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// Filer is what a Blob can be besides: one file of the local file system, for
// copy_file_range and its like. The file is the blob's: do not close it.
type Filer interface{ File() *os.File }

// Pending is a backup in the making. It is used by one goroutine at a time and
// ends with Commit or Abort; `defer p.Abort()` is right in every case.
type Pending interface {
	// ID returns the backup's id.
	ID() string
	// File is the tarball, empty at first, open for reading and writing. The
	// Pending closes it. Pass errors of writing to it through WriteError.
	File() *os.File
	// Spool returns a scratch file beside the tarball, empty at first, and the
	// same one for the same name (lower-case letters, digits and hyphens, at
	// most 24). The Pending closes and removes it.
	Spool(name string) (*os.File, error)
	// Commit puts tarball and sidecar on stable storage under the backup's id,
	// then calls record, which lists the backup, and then forgets that the
	// backup was in the making. After a crash Sweep finds out by asking whether
	// record took effect. An error means that the backup is not there and not
	// listed, provided that an error of record means that it is not listed.
	// errs.Exists if the id was taken, errs.NoSpace if there is no room.
	Commit(ctx context.Context, sidecar []byte, record func(context.Context) error) error
	// Abort removes everything. After Commit or Abort it does nothing.
	Abort() error
}

// Known reports whether a backup is listed. Sweep stops at its first error.
type Known func(ctx context.Context, id string) (bool, error)

// Report is what Sweep did and found.
type Report struct {
	Removed  []string // names of files that were left by a crash, below the store's directory
	Unlisted []Entry  // complete, acknowledged once, and not listed: their sidecars have what the list needs
	Missing  []string // ids of sidecars whose tarball is not there
}

var spoolName = regexp.MustCompile(`^[a-z0-9-]{1,24}$`)

// formats are the suffixes that a tarball may have.
func formats() []string { return []string{TarZst, TarGz} }

func checkFormat(format string) error {
	for _, f := range formats() {
		if f == format {
			return nil
		}
	}
	return errs.New(errs.Usage, "use "+strings.Join(formats(), " or "), "there is no format %q", format)
}

// WriteError gives an error of writing to a store its kind, and a hint if the
// store is full; what names the thing. A nil error stays nil.
func WriteError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errs.New(errs.NoSpace, noSpaceHint, "write %s: %w", what, err)
	case errors.Is(err, syscall.EROFS):
		return errs.New(errs.Precondition, "mount the store's file system read-write; dmesg may say why it is not", "write %s: %w", what, err)
	}
	return fmt.Errorf("write %s: %w", what, err)
}

const noSpaceHint = "free room on the store's file system, for instance with: sitekeep delete BACKUP"
