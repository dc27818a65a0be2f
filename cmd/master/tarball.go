package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/sftpread"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// tarball is a file that is sent to the master.
type tarball struct {
	io.ReadCloser
	name string
	size int64 // bytes; 0: not known
}

// tarballFlags say which tarball is taken in, and how.
type tarballFlags struct {
	site, dump, identity, knownHosts string
	description, format              string
	filesOnly                        bool
}

// standardInput stands for a file's name.
const standardInput = "-"

func (o *tarballFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.site, "site", "", "the site's `name`, its main domain")
	flags.StringVar(&o.dump, "dump", "", "`file` with the SQL dump, if it is not in the tarball: .sql, packed or not")
	flags.BoolVar(&o.filesOnly, "files-only", false, "take a tarball without a dump, or without settings")
	flags.StringVarP(&o.description, "message", "m", "", "the backup's `description` (default: where it came from)")
	flags.StringVar(&o.format, "format", "", "`format` of the backup: tar.zst or tar.gz (default tar.zst)")
	flags.StringVar(&o.identity, "identity", "", "`file` with the private key for sftp:// (default: the keys of the agent)")
	flags.StringVar(&o.knownHosts, "known-hosts", "", "`file` with the keys of hosts for sftp:// (default ~/.ssh/known_hosts)")
}

// check refuses what contradicts itself.
func (o *tarballFlags) check(command, tarball string) error {
	bad := func(format string, args ...any) error { return usageError(command, format, args...) }
	switch {
	case o.site == "":
		return bad("say which site it is: --site NAME")
	case tarball == standardInput && o.dump == standardInput:
		return bad("tarball and dump cannot both come from standard input")
	}
	for _, name := range []string{tarball, o.dump} {
		if strings.HasPrefix(name, sftpread.Scheme) {
			if _, err := sftpread.Parse(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// open opens a file, standard input, or a file on another machine.
func (a *app) openTarball(ctx context.Context, name string, o *tarballFlags) (*tarball, error) {
	switch {
	case name == standardInput:
		return &tarball{ReadCloser: io.NopCloser(a.in), name: "standard input"}, nil
	case strings.HasPrefix(name, sftpread.Scheme):
		return a.openRemote(ctx, name, o)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "name a file, - for standard input, or sftp://user@host/path", "there is no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("open the tarball: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errs.New(errs.Usage, "pack it first: tar -C "+name+" -czf FILE.tar.gz ./", "%s is a directory", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t := &tarball{ReadCloser: f, name: filepath.Base(name)}
	if info.Mode().IsRegular() {
		t.size = info.Size()
	}
	return t, nil
}

func (a *app) openRemote(ctx context.Context, name string, o *tarballFlags) (*tarball, error) {
	place, err := sftpread.Parse(name)
	if err != nil {
		return nil, err
	}
	opts := sftpread.Options{KnownHosts: o.knownHosts, Identity: o.identity, AgentSocket: a.getenv("SSH_AUTH_SOCK")}
	if opts.KnownHosts == "" {
		opts.KnownHosts = filepath.Join(a.getenv("HOME"), ".ssh", "known_hosts")
	}
	if in, ok := a.in.(*os.File); ok && isTerminal(in) && isTerminal(a.err) {
		opts.Passphrase = func(prompt string) ([]byte, error) {
			text, err := a.askPassword(in, prompt)
			return []byte(text), err
		}
	}
	f, err := sftpread.Open(ctx, place, opts)
	if err != nil {
		return nil, err
	}
	return &tarball{ReadCloser: f, name: place.Name(), size: f.Size()}, nil
}

// importTarball sends a tarball, and the dump if it lies beside it, and returns the backup that the master has made.
func (a *app) importTarball(ctx context.Context, c *client, name, kind string, o *tarballFlags) (*sitekeepv1.ImportBackupResponse, error) {
	tar, err := a.openTarball(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer tar.Close() // it was only read
	var dump *tarball
	if o.dump != "" {
		if dump, err = a.openTarball(ctx, o.dump, o); err != nil {
			return nil, err
		}
		defer dump.Close()
	}
	header := &sitekeepv1.ImportHeader{
		Site: o.site, Source: tar.name, Description: o.description, Format: o.format, Kind: kind, FilesOnly: o.filesOnly, Size: tar.size,
	}
	if name == standardInput {
		header.Source = ""
	}
	return a.send(ctx, c, header, tar, dump)
}

// send uploads. What is cut off here is cut off for the master, too, and leaves nothing there.
func (a *app) send(ctx context.Context, c *client, header *sitekeepv1.ImportHeader, tar, dump *tarball) (*sitekeepv1.ImportBackupResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.backups.ImportBackup(ctx)
	if err != nil {
		return nil, err
	}
	screen := a.newDisplay(false)
	defer screen.close()
	show := screen.view("")
	defer show.end()
	up := &uploader{send: stream.Send, show: show}
	err = up.message(&sitekeepv1.ImportBackupRequest{Header: header})
	if err == nil {
		err = up.file("upload", tar)
	}
	if err == nil && dump != nil {
		if err = up.message(&sitekeepv1.ImportBackupRequest{DumpName: dump.name}); err == nil {
			err = up.file("upload the dump", dump)
		}
	}
	if err != nil {
		return nil, err
	}
	if !up.refused {
		show.progress(&sitekeepv1.Task{Progress: &sitekeepv1.Progress{Step: "import", DoneBytes: up.done, TotalBytes: up.done}})
	}
	return stream.CloseAndRecv()
}

// uploader sends files in messages.
type uploader struct {
	send    func(*sitekeepv1.ImportBackupRequest) error
	show    view
	done    int64
	refused bool // the master has ended the stream: its answer says why
}

// uploadChunk is how much of a file one message has, in bytes.
const uploadChunk = 512 << 10

func (u *uploader) message(m *sitekeepv1.ImportBackupRequest) error {
	if u.refused {
		return nil
	}
	err := u.send(m)
	if errors.Is(err, io.EOF) {
		u.refused = true
		return nil
	}
	return err
}

func (u *uploader) file(step string, t *tarball) error {
	u.done = 0
	buffer := make([]byte, uploadChunk)
	for !u.refused {
		n, err := io.ReadFull(t, buffer)
		if n > 0 {
			u.done += int64(n)
			if err := u.message(&sitekeepv1.ImportBackupRequest{Data: buffer[:n]}); err != nil {
				return err
			}
			u.show.progress(&sitekeepv1.Task{Progress: &sitekeepv1.Progress{Step: step, DoneBytes: u.done, TotalBytes: t.size}})
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", t.name, err)
		}
	}
	return nil
}
