package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newDownloadCmd(a *app) *cobra.Command {
	var target string
	var force bool
	cmd := &cobra.Command{
		Use:   "download BACKUP [-O FILE | -O -]",
		Short: "Fetch a backup's tarball",
		Long: `Fetch a backup's tarball, by default into the current directory under its own name, and print the file's name. The file
appears under its name when it is complete and its hash is right, with mode 0600 because it holds the site's secrets.
With "-O -" the tarball goes to standard output; if the exit status is not 0 then, what was written is not a backup.

Any tar that knows zstd or gzip unpacks it.` + latestHelp,
		Example: `  sitekeep download example.com-20261123.001336
  sitekeep download example.com-latest -O /mnt/usb/example.tar.zst
  sitekeep download example.com-latest -O - | tar --zstd -xf - -C /tmp/site`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(backupIDs),
	}
	cmd.Flags().StringVarP(&target, "file", "O", "", "`file` or directory to write to; - for standard output")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if target == "-" && a.output.json {
			return usageError("sitekeep download", "both the tarball and the JSON would go to standard output")
		}
		if target == "-" && isTerminal(a.out) {
			return usageError("sitekeep download", "a tarball is not written to a terminal")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		id, err := resolveID(ctx, c, args[0])
		if err != nil {
			return err
		}
		d, err := openDownload(ctx, c, id)
		if err != nil {
			return err
		}
		if target == "-" {
			return a.shown(d, a.out)
		}
		return a.downloadFile(d, target, force)
	})
	return cmd
}

// download is a tarball that comes in.
type download struct {
	stream grpc.ServerStreamingClient[sitekeepv1.DownloadBackupResponse]
	backup *sitekeepv1.Backup
	begin  []byte // data of the first message
	ended  string // the hash that the master gave
}

// openDownload waits for the first message, which describes the backup.
func openDownload(ctx context.Context, c *client, id string) (*download, error) {
	stream, err := c.backups.DownloadBackup(ctx, &sitekeepv1.DownloadBackupRequest{Id: id})
	if err != nil {
		return nil, err
	}
	part, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	d := &download{stream: stream, backup: part.GetBackup(), begin: part.GetData(), ended: part.GetSha256()}
	// The id becomes a file's name, so it must be one.
	if _, _, err := model.ParseBackupID(d.backup.GetId()); err != nil {
		return nil, errs.New(errs.Corrupt, "", "the master does not say which backup it sends: %w", err)
	}
	return d, nil
}

func (d *download) fileName() (string, error) {
	switch d.backup.GetFormat() {
	case "tar.zst", "tar.gz":
		return d.backup.GetId() + "." + d.backup.GetFormat(), nil
	}
	return "", errs.New(errs.Failed, "give a name with -O FILE", "backup %s has the unknown format %q", d.backup.GetId(), d.backup.GetFormat())
}

// copyTo writes everything and checks it: a stream that is cut off, or whose hash or length is not what the master
// says, is an error.
func (d *download) copyTo(w io.Writer, count func(int64)) error {
	sum, written := sha256.New(), int64(0)
	data := d.begin
	for {
		n, err := io.MultiWriter(sum, w).Write(data)
		written += int64(n)
		if err != nil {
			return writeError(d.backup.GetId(), err)
		}
		count(written)
		part, err := d.stream.Recv()
		if errors.Is(err, io.EOF) {
			return d.verify(sum, written)
		}
		if err != nil {
			return fmt.Errorf("download of %s, after %s: %w", d.backup.GetId(), bytesize.Text(written), err)
		}
		if d.ended != "" {
			return d.broken("goes on after its end")
		}
		data, d.ended = part.GetData(), part.GetSha256()
	}
}

func (d *download) verify(sum hash.Hash, written int64) error {
	switch {
	case d.ended == "":
		return errs.New(errs.Unreachable, "download it again", "the download of %s was cut off after %s", d.backup.GetId(), bytesize.Text(written))
	case d.ended != hex.EncodeToString(sum.Sum(nil)):
		return d.broken("has not the hash that the master gives")
	case written != d.backup.GetSize():
		return d.broken(fmt.Sprintf("has %d bytes instead of %d", written, d.backup.GetSize()))
	}
	return nil
}

func (d *download) broken(how string) error {
	id := d.backup.GetId()
	return errs.New(errs.Corrupt, "download it again; if that does not help: sitekeep check "+id, "what arrived of %s %s", id, how)
}

func writeError(id string, err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return errs.New(errs.NoSpace, "make room, or give another place with -O FILE", "write %s: %w", id, err)
	}
	return fmt.Errorf("write %s: %w", id, err)
}

// shown copies the tarball to w, with a bar on terminals.
func (a *app) shown(d *download, w io.Writer) error {
	screen := a.newDisplay(false)
	defer screen.close()
	show := screen.view("")
	defer show.end()
	return d.copyTo(w, func(done int64) {
		show.progress(&sitekeepv1.Task{Progress: &sitekeepv1.Progress{
			Step: "download", DoneBytes: done, TotalBytes: d.backup.GetSize(),
		}})
	})
}

func (a *app) downloadFile(d *download, target string, force bool) error {
	target, err := d.place(target, force)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.partial")
	if err != nil {
		return fmt.Errorf("download %s: %w", d.backup.GetId(), err)
	}
	err = a.shown(d, temporary)
	if err == nil {
		err = publish(temporary, target, force)
	}
	if err != nil {
		return errors.Join(err, discard(temporary))
	}
	return a.printText(d.backup, target)
}

// place is where the file goes. What is not a regular file is never replaced.
func (d *download) place(target string, force bool) (string, error) {
	if info, err := os.Stat(target); target == "" || err == nil && info.IsDir() {
		name, err := d.fileName()
		if err != nil {
			return "", err
		}
		target = filepath.Join(target, name)
	}
	info, err := os.Lstat(target)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return target, nil
	case err != nil:
		return "", fmt.Errorf("download %s: %w", d.backup.GetId(), err)
	case !info.Mode().IsRegular():
		return "", errs.New(errs.Usage, "give the name of a file, or -O - for standard output", "%s is not a regular file", target)
	case !force:
		return "", existsError(target)
	}
	return target, nil
}

func existsError(target string) error {
	return errs.New(errs.Exists, "give another name with -O FILE, or overwrite it with --force", "%s is there already", target)
}
