package intake_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
)

// rig is an importer over a real store and a real catalogue.
type rig struct {
	*testing.T
	dir   string // of the store
	book  *catalogue.Catalogue
	shelf *store.Local
	deps  intake.Deps
}

var began = time.Date(2026, 11, 23, 0, 13, 36, 0, time.UTC)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, dir: filepath.Join(t.TempDir(), "store")}
	var err error
	r.book, err = catalogue.Open(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
	r.must(err)
	t.Cleanup(func() { r.must(r.book.Close()) })
	r.shelf, err = store.OpenLocal(r.dir, store.Options{})
	r.must(err)
	r.deps = intake.Deps{
		Store: r.shelf, Catalogue: r.book, Dir: r.dir, Software: "sitekeep test", Now: func() time.Time { return began },
	}
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) take(q intake.Request, up intake.Upload) (*intake.Result, error) {
	r.Helper()
	if q.Site == "" {
		q.Site = "new.example"
	}
	return intake.New(r.deps).Import(r.Context(), q, up)
}

// imported imports a tarball that must be good.
func (r *rig) imported(q intake.Request, tarball []byte) *intake.Result {
	r.Helper()
	got, err := r.take(q, intake.Upload{Tarball: bytes.NewReader(tarball)})
	r.must(err)
	return got
}

// nothingLeft checks that a refused import has left neither a listed backup nor a file in the store.
func (r *rig) nothingLeft() {
	r.Helper()
	list, _, err := r.book.Backups(r.Context(), catalogue.BackupFilter{})
	r.must(err)
	if len(list) > 0 {
		r.Errorf("a refused import is listed: %s", list[0].ID)
	}
	r.must(filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (!d.IsDir() || strings.Contains(d.Name(), "intake")) {
			r.Errorf("a refused import has left %s", path)
		}
		return err
	}))
}

// open opens a backup's tarball and reads all of it.
func (r *rig) open(b *model.Backup) *backup.Tarball {
	r.Helper()
	t, err := backup.OpenTarball(r.Context(), r.shelf, b)
	r.must(err)
	r.Cleanup(func() { t.Close() })
	return t
}

// contents are a backup's entries as any tar reads them: "mode name content", in the order of the tarball.
func (r *rig) contents(b *model.Backup) []string {
	r.Helper()
	blob, err := r.shelf.Open(r.Context(), b.ID, b.Format)
	r.must(err)
	defer blob.Close()
	var plain io.Reader
	packed := io.NewSectionReader(blob, 0, blob.Size())
	if b.Format == "tar.gz" {
		plain, err = gzip.NewReader(packed)
	} else {
		plain, err = zstd.NewReader(packed)
	}
	r.must(err)
	var out []string
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		r.must(err)
		data, err := io.ReadAll(t)
		r.must(err)
		text := string(data)
		if len(text) > 100 {
			text = fmt.Sprintf("%d bytes", len(text))
		}
		if h.Linkname != "" {
			text = "-> " + h.Linkname
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%04o %s %s", h.Mode, h.Name, text)))
	}
}

// item is one entry of a tarball in a test.
type item struct {
	name, body string
	link       string
	kind       byte
	mode       int64
	change     func(*tar.Header)
}

func file(name, body string) item {
	return item{name: name, body: body, kind: tar.TypeReg, mode: 0o644}
}
func dir(name string) item      { return item{name: name, kind: tar.TypeDir, mode: 0o755} }
func hard(name, to string) item { return item{name: name, link: to, kind: tar.TypeLink, mode: 0o644} }
func soft(name, to string) item {
	return item{name: name, link: to, kind: tar.TypeSymlink, mode: 0o777}
}

func (i item) with(mode int64) item { i.mode = mode; return i }

func setComment(text string) func(*tar.Header) {
	return func(h *tar.Header) { h.PAXRecords = map[string]string{"comment": text} }
}

// tarOf makes a tarball.
func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: i.kind, Linkname: i.link, Mode: i.mode, Size: int64(len(i.body)), ModTime: began.Add(-time.Hour), Uname: "aegir", Gname: "www-data"}
		if i.change != nil {
			i.change(h)
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const (
	dumpText = "-- MySQL dump 10.13  Distrib 8.0.33, for Linux (x86_64)\n--\n-- Host: localhost    Database: aexample\n" +
		"-- ------------------------------------------------------\n-- Server version\t8.0.33\n" +
		"/*!40101 SET NAMES utf8mb4 */;\n\n--\n-- Table structure for table `node`\n--\n\n" +
		"CREATE TABLE `node` (`nid` int, `title` text) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;\n\n" +
		"--\n-- Dumping data for table `node`\n--\n\nINSERT INTO `node` VALUES (1,'a;b'),(2,'c');\n" + endMark
	endMark      = "-- Dump completed on 2026-11-22  0:13:36\n"
	settingsText = "<?php\n$databases['default']['default'] = array('driver' => 'mysql', 'database' => urldecode($_SERVER['db_name']), 'username' => urldecode($_SERVER['db_user']), 'password' => urldecode($_SERVER['db_passwd']), 'host' => urldecode($_SERVER['db_host']));\n"
	drushText    = "<?php\n$options['db_name'] = 'aexample';\n$options['db_passwd'] = 's3cret';\n$options['uri'] = 'old.example';\n"
)

// aegir is a site as Aegir packs it, in the order of a directory.
func aegir(t testing.TB) []byte {
	return tarOf(t, dir("./").with(0o755), file("./settings.php", settingsText).with(0o440), dir("./files").with(0o2770),
		file("./files/b.png", strings.Repeat("x", 300<<10)), file("./files/a.txt", "a"), file("./drushrc.php", drushText).with(0o400),
		file("./database.sql", dumpText).with(0o600), dir("./modules").with(0o2775), soft("./link", "files/a.txt"))
}
