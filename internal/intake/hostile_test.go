package intake_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
)

func special(name string, kind byte) item { return item{name: name, kind: kind, mode: 0o644} }

// Whatever leads out of the directory, or is no tarball of a site, is refused; nothing of it stays.
func TestHostile(t *testing.T) {
	good := []item{dir("./"), file("./wp-config.php", "<?php"), file("./database.sql", dumpText)}
	with := func(items ...item) []byte { return tarOf(t, append(good[:len(good):len(good)], items...)...) }
	without := func(items ...item) []byte { return tarOf(t, append([]item{dir("./")}, items...)...) }
	dump := func(sql string) []byte { return tarOf(t, dir("./"), good[1], file("./database.sql", sql)) }
	for _, c := range []struct {
		name    string
		tarball []byte
		kind    errs.Kind
		text    string
	}{
		{"upwards", with(file("../x", "")), errs.Precondition, "leads upwards"},
		{"upwards within", with(file("./a/../../x", "")), errs.Precondition, "leads upwards"},
		{"absolute", with(file("/etc/x", "")), errs.Precondition, "absolute"},
		{"through a link", with(soft("./a", "/etc"), file("./a/passwd", "x")), errs.Precondition, "which is not a directory"},
		{"through a link that comes later", with(file("./a/passwd", "x"), soft("./a", "/etc")), errs.Precondition, "which is not a directory"},
		{"through a file", with(file("./a", ""), file("./a/b/c", "x")), errs.Precondition, "which is not a directory"},
		{"hard link upwards", with(hard("./a", "../../etc/passwd")), errs.Precondition, "leads upwards"},
		{"hard link to an absolute name", with(hard("./a", "/etc/passwd")), errs.Precondition, "absolute"},
		{"hard link to nothing", with(hard("./a", "./none")), errs.Precondition, "is not in the tarball"},
		{"hard link to the dump", with(hard("./a", "./database.sql")), errs.Precondition, "is not in the tarball"},
		{"hard link to a directory", with(dir("./d"), hard("./a", "./d")), errs.Precondition, "which is a directory"},
		{"hard links in a ring", with(hard("./a", "./b"), hard("./b", "./a")), errs.Precondition, "leads back"},
		{"hard link to itself", with(hard("./a", "./a")), errs.Precondition, "leads back"},
		{"character device", with(special("./null", tar.TypeChar)), errs.Precondition, "device"},
		{"block device", with(special("./sda", tar.TypeBlock)), errs.Precondition, "device"},
		{"pipe", with(special("./fifo", tar.TypeFifo)), errs.Precondition, "pipe"},
		{"long name", with(file("./"+strings.Repeat("n", 256), "")), errs.Precondition, "longer than a file system takes"},
		{"long path", with(file("./"+strings.Repeat(strings.Repeat("d", 200)+"/", 21)+"x", "")), errs.Precondition, "longer than a file system takes"},
		{"long link", with(soft("./a", strings.Repeat("x/", 3000))), errs.Precondition, "longer than a file system takes"},
		{"the root is a file", tarOf(t, item{name: "./", link: "x", kind: tar.TypeSymlink}, good[1], good[2]), errs.Precondition, "the root is a symlink"},
		{"nothing", nil, errs.Corrupt, "cut off"},
		{"an empty tarball", tarOf(t), errs.Precondition, "nothing in the tarball"},
		{"no tarball", bytes.Repeat([]byte("no tar at all "), 100), errs.Corrupt, "damaged"},
		{"two tarballs", append(with(), with()...), errs.Corrupt, "behind the end"},
		{"garbage behind", append(with(), "garbage"...), errs.Corrupt, "behind the end"},
		{"garbage behind gzip", append(packed(t, with(), "gzip"), "garbage"...), errs.Corrupt, "damaged"},
		{"garbage behind zstd", append(packed(t, with(), "zstd"), "garbage"...), errs.Corrupt, "damaged"},
		{"garbage behind bzip2", append(packed(t, with(), "bzip2"), "garbage"...), errs.Corrupt, "damaged"},
		{"garbage behind xz", append(packed(t, with(), "xz"), "garbage"...), errs.Corrupt, "damaged"},
		{"no dump", without(good[1]), errs.Precondition, "no dump in it"},
		{"no settings", without(good[2], file("./index.html", "")), errs.Precondition, "no settings of a generic site"},
		{"two dumps", without(good[1], file("./a.sql", dumpText), file("./b.sql", dumpText)), errs.Precondition, "more than one file"},
		{"no SQL", dump("nothing"), errs.Precondition, "refused"},
		{"an empty dump", dump(""), errs.Corrupt, "no SQL statement"},
		{"a dump without its mark", dump(strings.TrimSuffix(dumpText, endMark)), errs.Corrupt, "without the end mark"},
		{"a dump that ends in a string", dump(strings.TrimSuffix(dumpText, endMark) + "INSERT INTO `node` VALUES (3,'cut"), errs.Corrupt, "within a statement"},
		{"grants", dump("CREATE TABLE a (x int);\nGRANT ALL ON *.* TO evil;\n" + dumpText), errs.Precondition, "GRANT has no place"},
		{"another database", dump("USE mysql;\nUSE other;\n" + dumpText), errs.Precondition, "more than one database"},
		{"another database's table", dump("INSERT INTO `mysql`.`user` VALUES (1);\n" + dumpText), errs.Precondition, "names the database"},
		{"drop database", dump("DROP DATABASE site;\n" + dumpText), errs.Precondition, "DROP DATABASE"},
		{"client command", dump("CREATE TABLE a (x int);\nsource /etc/passwd\n;\n" + dumpText), errs.Precondition, "no place"},
		{"shell command", dump("CREATE TABLE a (x int);\n\\! rm -rf /\n;\n" + dumpText), errs.Precondition, "refused"},
		{"a file on the server", dump("SELECT 1 INTO OUTFILE '/tmp/x';\n" + dumpText), errs.Precondition, "writes a file"},
		{"a damaged dump", tarOf(t, dir("./"), good[1], file("./database.sql.gz", string(packed(t, []byte(dumpText), "gzip")[:60]))), errs.Corrupt, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.take(intake.Request{}, intake.Upload{Tarball: bytes.NewReader(c.tarball)})
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || errs.HintOf(err) == "" {
				t.Errorf("got %v (%v), hint %q", err, errs.KindOf(err), errs.HintOf(err))
			}
			r.nothingLeft()
		})
	}
}

// A tarball that is cut anywhere is refused, whatever it is packed with, and so is one whose bytes are damaged.
func TestCutAnywhere(t *testing.T) {
	r := newRig(t)
	for _, how := range packings {
		whole := packed(t, aegir(t), how)
		step := max(len(whole)/11, 1)
		for n := 0; n < len(whole)-1; n += step {
			cut := whole[:n]
			if how == "" && len(bytes.Trim(whole[n:], "\x00")) == 0 && len(whole)-n < 512 {
				continue // within the zeros at the end
			}
			if _, err := r.take(intake.Request{}, intake.Upload{Tarball: bytes.NewReader(cut)}); !errs.Is(err, errs.Corrupt) {
				t.Errorf("packing %q, cut at %d of %d: %v", how, n, len(whole), err)
			}
		}
	}
	r.nothingLeft()
}

func TestInterruptedUpload(t *testing.T) {
	away := errs.New(errs.Cancelled, "", "the client has gone")
	tarball := packed(t, aegir(t), "gzip")
	for name, up := range map[string]intake.Upload{
		"within the tarball": {Tarball: io.MultiReader(bytes.NewReader(tarball[:len(tarball)/2]), iotest.ErrReader(away))},
		"at its end":         {Tarball: io.MultiReader(bytes.NewReader(tarball), iotest.ErrReader(away))},
		"before the dump":    {Tarball: bytes.NewReader(tarball), Dump: func() (string, io.Reader, error) { return "", nil, away }},
		"within the dump": {Tarball: bytes.NewReader(tarball), Dump: func() (string, io.Reader, error) {
			return "a.sql", io.MultiReader(strings.NewReader(dumpText), iotest.ErrReader(away)), nil
		}},
	} {
		r := newRig(t)
		if _, err := r.take(intake.Request{}, up); !errors.Is(err, away) || !errs.Is(err, errs.Cancelled) {
			t.Errorf("%s: %v", name, err)
		}
		r.nothingLeft()
	}
	r := newRig(t)
	if _, err := r.take(intake.Request{Size: int64(len(tarball)) + 1}, intake.Upload{Tarball: bytes.NewReader(tarball)}); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "bytes came instead of") {
		t.Errorf("another size: %v", err)
	}
	r.nothingLeft()
}

// small is a store with little room, that of a real one aside.
type small struct {
	*store.Local
	bytes  int64
	others int64 // bytes that others write between two looks
	failed error // of Create
}

func (s *small) Free(context.Context) (store.Space, error) {
	s.bytes -= s.others
	return store.Space{Bytes: s.bytes, Inodes: 1000}, nil
}

func (s *small) Create(ctx context.Context, id, format string, estimate int64) (store.Pending, error) {
	if s.failed != nil {
		return nil, s.failed
	}
	return s.Local.Create(ctx, id, format, estimate)
}

// A bomb stops at what the store has left, and before that at what its headers promise.
func TestRoom(t *testing.T) {
	zeros := strings.Repeat("\x00", 8<<20)
	bomb := packed(t, tarOf(t, dir("./"), file("./a", zeros), file("./b", zeros)), "gzip")
	huge := tarOf(t, dir("./"), item{name: "./huge", kind: tar.TypeReg, mode: 0o644, body: ""})
	promise := bytes.Clone(huge)
	copy(promise[512+124:], "77777777777\x00") // 8 GiB
	reseal(promise[512:1024])
	sparse := gnuTar(t, "--format=posix", func(dir string) {
		if err := os.Truncate(touch(t, filepath.Join(dir, "hole")), 1<<40); err != nil {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		name    string
		tarball []byte
		q       intake.Request
		room    int64
		text    string
	}{
		{"a bomb", bomb, intake.Request{FilesOnly: true}, 12 << 20, "left, of which 1 are kept in reserve"},
		{"a promise", promise, intake.Request{FilesOnly: true}, 1 << 30, "needs 8191 MiB"},
		{"a hole of a TiB", sparse, intake.Request{FilesOnly: true}, 1 << 30, "needs 1048576 MiB"},
		{"the upload itself", aegir(t), intake.Request{Size: 5 << 20}, 4 << 20, "needs 5 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			shelf := &small{Local: r.shelf, bytes: c.room}
			if c.name == "a bomb" {
				shelf.others = 3 << 20
			}
			r.deps.Store, r.deps.Reserve = shelf, 1<<20
			_, err := r.take(c.q, intake.Upload{Tarball: bytes.NewReader(c.tarball)})
			if !errs.Is(err, errs.NoSpace) || !strings.Contains(err.Error(), c.text) || !strings.Contains(errs.HintOf(err), "sitekeep delete") {
				t.Errorf("got %v (%v)", err, errs.KindOf(err))
			}
			r.nothingLeft()
		})
	}
}

// reseal writes the checksum of a tar header.
func reseal(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// broken is a catalogue that cannot be written.
type broken struct{ err error }

func (b broken) InsertBackup(context.Context, model.Backup) error { return b.err }

// A store or a catalogue that fails at the end leaves nothing either.
func TestFailingStore(t *testing.T) {
	full := errs.New(errs.NoSpace, "make room", "full: %w", syscall.ENOSPC)
	for name, change := range map[string]func(*rig){
		"create":    func(r *rig) { r.deps.Store = &small{Local: r.shelf, bytes: 1 << 40, failed: full} },
		"catalogue": func(r *rig) { r.deps.Catalogue = broken{full} },
	} {
		r := newRig(t)
		change(r)
		if _, err := r.take(intake.Request{}, intake.Upload{Tarball: bytes.NewReader(aegir(t))}); !errs.Is(err, errs.NoSpace) {
			t.Errorf("%s: %v", name, err)
		}
		r.nothingLeft()
	}
}

func TestCancelled(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	reader := io.MultiReader(bytes.NewReader(aegir(t)), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }))
	_, err := intake.New(r.deps).Import(ctx, intake.Request{Site: "new.example"}, intake.Upload{Tarball: reader})
	if !errs.Is(err, errs.Cancelled) {
		t.Errorf("got %v (%v)", err, errs.KindOf(err))
	}
	r.nothingLeft()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
