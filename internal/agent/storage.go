package agent

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// storageFaults are what the kernel answers while a file system has given up or a disk is away: EIO after a shutdown,
// EROFS after a remount for errors, EUCLEAN for metadata that makes no sense, ESTALE, ENODEV and ENXIO for what is gone.
var storageFaults = []error{syscall.EIO, syscall.EROFS, syscall.EUCLEAN, syscall.ESTALE, syscall.ENODEV, syscall.ENXIO}

// storageError gives errors of such file systems the kind errs.Storage, whatever they were taken for on the way.
func storageError(err error) error {
	if err == nil || !slices.ContainsFunc(storageFaults, func(fault error) bool { return errors.Is(err, fault) }) {
		return err
	}
	return errs.New(errs.Storage, "see dmesg on that server; mend the file system and mount it again, writable (an agent that systemd confines needs it in ReadWritePaths)", "%w", err)
}

func storageUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	reply, err := handler(ctx, req)
	return reply, storageError(err)
}

func storageStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return storageError(handler(srv, stream))
}
