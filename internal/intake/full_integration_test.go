//go:build integration

package intake_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/store"
)

// A file system that fills up at any point of an import is told as what it is, and is empty again afterwards.
func TestFullDisk(t *testing.T) {
	noise := make([]byte, 3<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise) // never fails
	tarball := packed(t, tarOf(t, dir("./"), file("./noise", string(noise)), file("./wp-config.php", "<?php"), file("./database.sql", dumpText)), "gzip")
	done := false
	for _, size := range []string{"1m", "2m", "4m", "6m", "7m", "8m", "9m", "10m", "16m"} {
		r := newRig(t)
		r.dir = t.TempDir()
		r.must(unix.Mount("tmpfs", r.dir, "tmpfs", 0, "size="+size+",nr_inodes=200"))
		t.Cleanup(func() { r.must(unix.Unmount(r.dir, unix.MNT_DETACH)) })
		shelf, err := store.OpenLocal(r.dir, store.Options{})
		r.must(err)
		r.shelf, r.deps.Store, r.deps.Dir = shelf, shelf, r.dir
		before, err := shelf.Free(t.Context())
		r.must(err)
		_, err = r.take(intake.Request{}, intake.Upload{Tarball: bytes.NewReader(tarball)})
		if err == nil {
			done = true
			continue
		}
		if !errs.Is(err, errs.NoSpace) || errs.HintOf(err) == "" || done {
			t.Errorf("%s: %v (%v)", size, err, errs.KindOf(err))
		}
		r.nothingLeft()
		if after, err := shelf.Free(t.Context()); err != nil || after.Bytes != before.Bytes {
			t.Errorf("%s: %d bytes are free instead of %d, %v", size, after.Bytes, before.Bytes, err)
		}
	}
	if !done {
		t.Error("it never fits")
	}
}
