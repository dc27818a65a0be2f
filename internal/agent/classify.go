package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/webserver"
)

// classified reports whether an error has its kind already.
func classified(err error) bool {
	var e *errs.Error
	return errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// treeError gives errors of pkg/archive and of file systems their kinds.
func treeError(err error) error {
	switch {
	case err == nil || classified(err):
		return err
	case errors.Is(err, archive.ErrUnsafe):
		return errs.New(errs.Precondition, "look at the tarball: it was not made by Sitekeep, or was changed since", "%w", err)
	case errors.Is(err, archive.ErrCorrupt):
		return errs.New(errs.Corrupt, "check the backup with: sitekeep check --read-data BACKUP", "%w", err)
	case errors.Is(err, archive.ErrIncomplete), errors.Is(err, io.ErrUnexpectedEOF):
		return errs.New(errs.Corrupt, "try again; if it fails again, check the backup with: sitekeep check BACKUP", "%w", err)
	}
	return fileError(err)
}

func fileError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errs.New(errs.NoSpace, "make room on that file system, or raise its quota", "%w", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return errs.New(errs.Permission, "let the agent's user read and write there", "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return errs.New(errs.NotFound, "", "%w", err)
	}
	return err
}

// databaseError gives errors of pkg/dbdump their kinds, and takes over their hints.
func databaseError(err error) error {
	var failure *dbdump.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure) && failure.Kind == dbdump.KindSink && failure.Err != nil:
		return treeError(err) // what the stream or the frames had to say
	case errors.As(err, &failure):
		return &errs.Error{Kind: kindOfDatabase(failure.Kind), Hint: dbdump.HintOf(err), Err: err}
	}
	return treeError(err)
}

func kindOfDatabase(kind dbdump.Kind) errs.Kind {
	switch kind {
	case dbdump.KindRefused:
		return errs.Permission
	case dbdump.KindAccessDenied, dbdump.KindPrivilege, dbdump.KindBinlogTrust:
		return errs.Precondition // the caller may do it; the agent's own account cannot
	case dbdump.KindUnknownDatabase:
		return errs.NotFound
	case dbdump.KindUnreachable:
		return errs.Unreachable
	case dbdump.KindDiskFull:
		return errs.NoSpace
	case dbdump.KindExists:
		return errs.Exists
	case dbdump.KindIncomplete:
		return errs.Corrupt
	case dbdump.KindInvalid:
		return errs.Usage
	case dbdump.KindCancelled:
		return errs.Cancelled
	case dbdump.KindChanged:
		return errs.Changed
	}
	return errs.Failed
}

// settingsError gives errors of pkg/sitekind their kinds.
func settingsError(err error) error {
	var failure *sitekind.SettingsError
	switch {
	case err == nil || classified(err):
		return err
	case errors.As(err, &failure):
		return errs.New(errs.Precondition, "correct the settings file: Sitekeep reads and writes plain values alone", "%w", err)
	}
	return fileError(err)
}

// vhostError gives errors of pkg/webserver their kinds.
func vhostError(err error) error {
	var (
		foreign *webserver.ForeignVhostError
		command *webserver.CommandError
	)
	switch {
	case err == nil || classified(err):
		return err
	case errors.Is(err, webserver.ErrNoMaintenance), errors.Is(err, webserver.ErrNoVhost):
		return errs.New(errs.NotFound, "", "%w", err)
	case errors.As(err, &foreign):
		return errs.New(errs.Precondition, "let it be with --vhost external, or move the file away", "%w", err)
	case errors.As(err, &command):
		return errs.New(errs.Failed, "run the command by hand on that server and mend what it says", "%w", err)
	}
	return fileError(err)
}
