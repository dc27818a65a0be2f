package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	masterRead = "master read MiB" // by all its system calls, the catalogue's and the network's too
	oneFileOut = "sitekeep cat"
)

// The tarball of 10 GB: media that no compressor makes smaller, in pieces that
// share their blocks, among them a site's code.
const (
	pieceSize = 256 << 20
	pieces    = 40
	bigSize   = 4 << 30 // of the file system that the source lies on
)

// frameLimit is the largest frame, in MiB.
const frameLimit = 1

func rowOneFile(ctx context.Context, w *world) (*row, error) {
	r := newRow(masterRead)
	if w.options.peers {
		return r, nil
	}
	s, err := w.ownSitekeep(ctx, "onefile", nil)
	if err != nil {
		return nil, err
	}
	path, err := w.bigTree(ctx, filepath.Join(w.web.Root, "big"))
	if err != nil {
		return nil, err
	}
	const site = "big.bench.example.com"
	if err := s.addFiles(ctx, site, filepath.Join(w.web.Root, "big")); err != nil {
		return nil, err
	}
	if err := s.backup(ctx, newMeter(), site); err != nil {
		return nil, err
	}
	b, err := s.newest(ctx, site)
	if err != nil {
		return nil, err
	}
	r.add(oneFileOut, s.catSide(b, filepath.Join(w.web.Root, "big"), path), nil)
	r.want(within(wall, oneFileOut, 0.3), within(masterRead, oneFileOut, 3*frameLimit).named("three frames"))
	return r, nil
}

// bigTree makes the tree and names one of its files of code.
func (w *world) bigTree(ctx context.Context, root string) (string, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	w.atRowEnd(func() error { return os.Remove(root) })
	if err := w.mountXFS(ctx, root, bigSize); err != nil {
		return "", err
	}
	first := filepath.Join(root, "media-00.mp4")
	m := newMeter()
	if err := m.run(tool(ctx, nil, "openssl", "rand", "-out", first, strconv.Itoa(pieceSize))); err != nil {
		return "", err
	}
	for i := 1; i < pieces; i++ {
		next := filepath.Join(root, fmt.Sprintf("media-%02d.mp4", i))
		if err := m.run(tool(ctx, nil, "cp", "--reflink=always", first, next)); err != nil {
			return "", err
		}
	}
	for _, part := range []string{"wp-includes", "wp-admin"} {
		if err := bed.CopyTree(ctx, filepath.Join(w.site, part), filepath.Join(root, part)); err != nil {
			return "", err
		}
	}
	return someFile(filepath.Join(root, "wp-includes"), root)
}

// someFile is the first file of code below dir, relative to root.
func someFile(dir, root string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.php"))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no file of code in %s", dir)
	}
	if err != nil {
		return "", err
	}
	return filepath.Rel(root, found[0])
}

func (s *sitekeep) catSide(b made, root, path string) *side {
	var out bytes.Buffer
	return &side{
		prepare: func(context.Context) error { out.Reset(); return nil },
		work: func(ctx context.Context, m *meter) error {
			before, err := readBytes(s.master.Pid())
			if err != nil {
				return err
			}
			cmd := s.master.Command(ctx, "cat", b.ID, path)
			cmd.Stdout = &out
			if err := m.run(cmd); err != nil {
				return err
			}
			after, err := readBytes(s.master.Pid())
			m.note(masterRead, mebibytes(after-before))
			return err
		},
		check: func(_ context.Context, m *meter) error {
			m.note(archiveMB, megabytes(b.Size))
			want, err := os.ReadFile(filepath.Join(root, path))
			if err == nil && !bytes.Equal(out.Bytes(), want) {
				err = errors.New("cat printed another file")
			}
			return err
		},
	}
}

// readBytes is what a process took in by read system calls: rchar of
// /proc/PID/io, proc(5).
func readBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), "rchar: ")
	if !found {
		return 0, fmt.Errorf("process %d has no rchar", pid)
	}
	first, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseInt(first, 10, 64)
}
