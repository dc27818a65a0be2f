package archive

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRoundTripExtractor takes a site with one of everything out and back.
func TestRoundTripExtractor(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := richSite(t)
		m := s.make(makeOptions{codec: c, dump: smallDump()})
		if len(m.warnings) > 0 {
			t.Errorf("warnings: %v", m.warnings)
		}
		dir, sum, warnings := m.extract(t, ExtractOptions{})
		compareTrees(t, listing(t, s.dir), listing(t, dir))
		if sum.Totals != m.tree.Totals {
			t.Errorf("extracted %+v, stored %+v", sum.Totals, m.tree.Totals)
		}
		if len(warnings) > 0 {
			t.Errorf("warnings: %v", warnings)
		}
	})
}

// TestGNUTar has the tar that is everywhere extract a tarball without us.
func TestGNUTar(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := richSite(t)
		m := s.make(makeOptions{codec: c, dump: smallDump(), align: 4096})
		dir := t.TempDir()
		out := run(t, "tar", "--xattrs", "--acls", "-xpf", m.path, "-C", dir)
		if out != "" {
			t.Errorf("tar has something to say: %s", out)
		}
		sql, err := os.ReadFile(filepath.Join(dir, "database.sql"))
		check(t, err)
		if !bytes.Equal(sql, sqlOf(smallDump())) {
			t.Error("database.sql is not the dump")
		}
		st, err := os.Stat(filepath.Join(dir, "database.sql"))
		check(t, err)
		if st.Mode().Perm() != dumpMode {
			t.Errorf("database.sql has mode %v", st.Mode())
		}
		got := listing(t, dir)
		delete(got, "database.sql")
		compareTrees(t, renamedForTar(listing(t, s.dir)), got)
	})
}

// TestHardenedDirectories: what unpacks a .tar.gz without us finds directories that their owner can write, and we bring
// back the modes that they had, from a second backup too and from a tarball that has lost its index.
func TestHardenedDirectories(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := newSite(t)
		s.write("sites/a.example/settings.php", []byte("<?php"))
		s.write("database.sql/x", []byte("a directory of the site's own"))
		modes := map[string]os.FileMode{"sites/a.example/settings.php": 0o444, "sites/a.example": 0o555, "database.sql": 0o500 | os.ModeSetgid, ".": 0o511}
		for name, mode := range modes {
			check(t, os.Chmod(s.path(name), mode))
			t.Cleanup(func() { _ = os.Chmod(s.path(name), 0o755) })
		}
		first := s.make(makeOptions{codec: c, dump: smallDump()})
		for _, m := range []*made{first, s.make(makeOptions{codec: c, dump: smallDump(), bases: []*Reader{first.open(t)}})} {
			verifyMade(t, m)
			dir, _, _ := m.extract(t, ExtractOptions{})
			compareTrees(t, listing(t, s.dir), listing(t, dir))
			gnu := t.TempDir()
			run(t, "tar", "-xpf", m.path, "-C", gnu)
			for name, mode := range map[string]os.FileMode{"sites/a.example": 0o555, "database.sql~site": 0o500 | os.ModeSetgid, ".": 0o511} {
				if c.format == TarGzip {
					mode |= 0o200
				}
				if st := must[os.FileInfo](t)(os.Stat(filepath.Join(gnu, name))); st.Mode() != mode|os.ModeDir {
					t.Errorf("tar has made %s %v", name, st.Mode())
				}
			}
			check(t, os.Chmod(gnu, 0o755))
		}
	})
}

// renamedForTar gives the site's own database.sql the names it has in a tarball.
func renamedForTar(l map[string]string) map[string]string {
	own, other := l["database.sql"], l["database.sql~site"]
	delete(l, "database.sql")
	l["database.sql~site"] = strings.ReplaceAll(own, "same as database.sql", "same as database.sql~site")
	l["database.sql~site~site"] = other
	l["zz-own.sql"] = strings.ReplaceAll(l["zz-own.sql"], "same as database.sql", "same as database.sql~site")
	return l
}

// TestOtherReaders has programs test and list a tarball.
func TestOtherReaders(t *testing.T) {
	s := richSite(t)
	zst := s.make(makeOptions{codec: Zstd(), dump: smallDump(), align: 4096})
	gz := s.make(makeOptions{codec: Gzip(), dump: smallDump(), align: 4096})
	run(t, "zstd", "-q", "-t", zst.path)
	run(t, "gzip", "-t", gz.path)
	script := `
import sys, tarfile, hashlib
t = tarfile.open(sys.argv[1])
names = t.getnames()
assert names[0] == ".", names[0]
assert "./database.sql" in names
sys.stdout.buffer.write(t.extractfile("./database.sql").read())
t.extractfile("./sparse.img").read()
assert len(names) == int(sys.argv[2]), len(names)
`
	want := gz.result.Entries
	out := run(t, "python3", "-c", script, gz.path, itoa(want))
	if out != string(sqlOf(smallDump())) {
		t.Error("python read another database.sql")
	}
}

// TestReadBack reads entries, sections and the dump through the index.
func TestReadBack(t *testing.T) {
	ctx := context.Background()
	eachCodec(t, func(t *testing.T, c Codec) {
		s := richSite(t)
		m := s.make(makeOptions{codec: c, dump: smallDump()})
		r := m.open(t)
		if r.Digest() != m.result.Digest || r.Size() != m.result.Size || r.Counts() != m.result.Counts {
			t.Errorf("reader has %v %d %+v, assembler made %+v", r.Digest(), r.Size(), r.Counts(), m.result)
		}
		dump := sqlOf(smallDump())
		for e, err := range r.Entries() {
			check(t, err)
			found, err := r.Lookup(e.Path)
			check(t, err)
			if found.Path != e.Path || found.Frame != e.Frame || found.Offset != e.Offset {
				t.Errorf("lookup of %q found %+v", e.Path, found)
			}
			if e.Type != TypeRegular && e.Type != TypeHardlink {
				continue
			}
			rc, err := r.OpenEntry(ctx, e)
			check(t, err)
			got, err := io.ReadAll(rc)
			check(t, err)
			check(t, rc.Close())
			want := dump
			if e.Path != DumpPath {
				want = must[[]byte](t)(os.ReadFile(s.path(e.Name())))
			}
			if !bytes.Equal(got, want) {
				t.Errorf("content of %q differs", e.Path)
			}
		}
		checkSections(t, r)
	})
}

func checkSections(t *testing.T, r *Reader) {
	t.Helper()
	ctx := context.Background()
	sections := smallDump()
	dump := sqlOf(sections)
	i := 0
	for sec, err := range r.Sections() {
		check(t, err)
		want := sections[i]
		rc, err := r.OpenSection(ctx, sec)
		check(t, err)
		got := must[[]byte](t)(io.ReadAll(rc))
		check(t, rc.Close())
		if sec.Kind != want.kind || sec.Name != want.name || string(got) != strings.Join(want.statements, "") || sec.Rows != int64(len(want.statements)) {
			t.Errorf("section %d is %+v with %d bytes", i, sec, len(got))
		}
		if !bytes.Equal(got, dump[sec.Offset:sec.Offset+sec.Length]) {
			t.Errorf("section %d is elsewhere in the dump", i)
		}
		i++
	}
	if i != len(sections) {
		t.Errorf("%d sections", i)
	}
	rc, err := r.OpenDump(ctx)
	check(t, err)
	defer rc.Close()
	if got := must[[]byte](t)(io.ReadAll(rc)); !bytes.Equal(got, dump) {
		t.Error("the dump differs")
	}
}

// TestVerifyIntact finds nothing wrong with what is intact.
func TestVerifyIntact(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for _, dump := range [][]section{nil, smallDump()} {
			m := richSite(t).make(makeOptions{codec: c, dump: dump, align: 4096})
			for _, data := range []bool{false, true} {
				f := must[*os.File](t)(os.Open(m.path))
				t.Cleanup(func() { f.Close() })
				report, err := Verify(context.Background(), f, m.result.Size, VerifyOptions{ReadData: data})
				if err != nil || report.Found != 0 || report.Digest != m.result.Digest {
					t.Errorf("data %v: %+v, %v", data, report, err)
				}
			}
		}
	})
}
