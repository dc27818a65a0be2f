package intake_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// packed returns data as each packing has it.
func packed(t testing.TB, data []byte, how string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "":
		return data
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out)
	default:
		cmd := exec.Command(how, "-c")
		cmd.Stdin = bytes.NewReader(data)
		b, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var packings = []string{"", "gzip", "bzip2", "xz", "zstd"}

// What is in Aegir's tarball comes out as one of ours, whatever it was packed with, in our order.
func TestAegirInEveryPacking(t *testing.T) {
	want := []string{
		"0755 ./", fmt.Sprintf("0400 ./drushrc.php %d bytes", len(drushText)), "2770 ./files/", "0644 ./files/a.txt a", "0644 ./files/b.png 307200 bytes",
		"0777 ./link -> files/a.txt", "2775 ./modules/", fmt.Sprintf("0440 ./settings.php %d bytes", len(settingsText)),
		fmt.Sprintf("0600 ./database.sql %d bytes", len(dumpText)),
	}
	for _, how := range packings {
		t.Run("packing "+how, func(t *testing.T) {
			r := newRig(t)
			got := r.imported(intake.Request{Source: "whatever.bin", Description: "moved in"}, packed(t, aegir(t), how))
			if got.Kind != "drupal" || got.OldName != "old.example" || got.Docroot != "" || len(got.Backup.Warnings) > 0 {
				t.Errorf("kind %q, old name %q, docroot %q, warnings %q", got.Kind, got.OldName, got.Docroot, got.Backup.Warnings)
			}
			if list := r.contents(got.Backup); !slices.Equal(list, want) {
				t.Errorf("got  %q\nwant %q", list, want)
			}
			r.checkBackup(got.Backup)
		})
	}
}

// checkBackup checks what every imported backup must be.
func (r *rig) checkBackup(b *model.Backup) {
	r.Helper()
	listed, err := r.book.Backup(r.Context(), b.ID)
	r.must(err)
	if listed.Origin != model.OriginImported || listed.Tables != 1 || listed.Rows != 2 || listed.Description != "moved in" || listed.Site != "new.example" {
		r.Errorf("listed as %+v", listed)
	}
	tarball := r.open(b)
	report, err := tarball.Verify(r.Context(), archive.VerifyOptions{ReadData: true})
	if err != nil || report.Found > 0 {
		r.Errorf("the backup is not whole: %v, %v", report.Problems, err)
	}
	facts := tarball.Facts()
	if !facts.HasDump || facts.Charset != "utf8mb4" || facts.Collation != "utf8mb4_general_ci" || len(facts.Tables) != 1 || facts.Tables[0].Rows != 2 ||
		!slices.Equal(facts.Collations, []string{"utf8mb4_general_ci"}) {
		r.Errorf("facts are %+v", facts)
	}
	var sections []string
	for s, err := range tarball.Sections() {
		r.must(err)
		sections = append(sections, string(s.Kind)+" "+s.Name)
	}
	if got := strings.Join(sections, ", "); got != "head , table node, data node, tail " {
		r.Errorf("sections are %q", got)
	}
	sql, err := tarball.OpenDump(r.Context())
	r.must(err)
	defer sql.Close()
	if text, err := io.ReadAll(sql); err != nil || string(text) != dumpText {
		r.Errorf("the dump is %q, %v", text, err)
	}
	left, err := filepath.Glob(filepath.Join(r.dir, ".intake*"))
	if err != nil || len(left) > 0 {
		r.Errorf("scratch is left: %q, %v", left, err)
	}
}

// Ours comes in with its index and without, and is the same again; its own database.sql keeps its name.
func TestOurs(t *testing.T) {
	r := newRig(t)
	first := r.imported(intake.Request{Site: "first.example", Kind: "wordpress"}, tarWithOwn(t)).Backup
	blob, err := r.shelf.Open(t.Context(), first.ID, first.Format)
	r.must(err)
	defer blob.Close()
	ours, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	r.must(err)
	plain, err := zstd.NewReader(bytes.NewReader(ours))
	r.must(err)
	tar, err := io.ReadAll(plain)
	r.must(err)
	for name, data := range map[string][]byte{"with its index": ours, "packed anew": packed(t, tar, "gzip")} {
		got := r.imported(intake.Request{Source: "first.example-20261123.001336.tar.zst"}, data)
		if got.OldName != "first.example" || got.Kind != "wordpress" {
			t.Errorf("%s: old name %q, kind %q", name, got.OldName, got.Kind)
		}
		if a, b := r.contents(first), r.contents(got.Backup); !slices.Equal(a, b) {
			t.Errorf("%s: %q became %q", name, a, b)
		}
	}
}

// tarWithOwn is a tarball of ours, packed anew, of a site with a database.sql of its own.
func tarWithOwn(t *testing.T) []byte {
	t.Helper()
	own := item{name: "./database.sql~site", body: "the site's own", kind: '0', mode: 0o644, change: setComment("SITEKEEP.path=./database.sql")}
	return tarOf(t, dir("./"), own, file("./wp-config.php", "<?php"), file("./sub/database.sql", "own"),
		file("./z", strings.Repeat("z", 1<<20)), file("./database.sql", dumpText))
}

func TestShapes(t *testing.T) {
	config := "<?php define('DB_NAME', 'x');"
	for _, c := range []struct {
		name    string
		items   []item
		q       intake.Request
		dump    string // beside
		kind    string
		docroot string
		want    string // names
	}{
		{name: "bare names, no root", kind: "wordpress", want: "./ ./a/ ./a/b ./wp-config.php ./database.sql",
			items: []item{file("wp-config.php", config), file("a/b", ""), file("x.sql", dumpText)}},
		{name: "one directory", kind: "wordpress", want: "./ ./index.php ./wp-config.php ./database.sql",
			items: []item{dir("example.com"), file("example.com/wp-config.php", config), file("example.com/index.php", ""), file("example.com/dump.sql", dumpText)}},
		{name: "a directory and a dump", kind: "wordpress", want: "./ ./wp-config.php ./database.sql",
			items: []item{file("example.com/wp-config.php", config), file("all.sql", dumpText)}},
		{name: "two levels", kind: "drupal", want: "./ ./files/ ./settings.php ./database.sql",
			items: []item{dir("sites"), dir("sites/example.com"), dir("sites/example.com/files"), file("sites/example.com/settings.php", settingsText), file("sites/example.com/database.sql", dumpText)}},
		{name: "a root of its own is not stripped", kind: "dotenv", docroot: "", want: "./ ./app/ ./app/artisan",
			q: intake.Request{FilesOnly: true, Kind: "dotenv"}, items: []item{dir("./"), dir("./app"), file("./app/artisan", "")}},
		{name: "a code base of Drupal", kind: "drupal", docroot: "web", want: "./ ./web/ ./web/core/ ./web/core/lib/ ./web/core/lib/Drupal.php ./web/index.php ./web/sites/ ./web/sites/default/ ./web/sites/default/settings.php ./database.sql",
			items: []item{dir("./"), file("./web/core/lib/Drupal.php", "<?php"), file("./web/index.php", ""), file("./web/sites/default/settings.php", settingsText), file("./d.sql", dumpText)}},
		{name: "Laravel", kind: "dotenv", docroot: "public", want: "./ ./.env ./artisan ./public/ ./public/index.php ./database.sql",
			items: []item{dir("./"), file("./.env", "DB_DATABASE=x\nDB_USERNAME=u\nDB_PASSWORD=p\n"), file("./artisan", ""), file("./public/index.php", ""), file("./d.sql", dumpText)}},
		{name: "a dump beside", kind: "wordpress", dump: dumpText, want: "./ ./other.sql ./wp-config.php ./database.sql",
			items: []item{dir("./"), file("./wp-config.php", config), file("./database.sql.gz", "old"), file("./other.sql", "kept")}},
		{name: "database.sql before others", kind: "wordpress", want: "./ ./other.sql ./wp-config.php ./database.sql",
			items: []item{dir("./"), file("./other.sql", "kept"), file("./database.sql", dumpText), file("./wp-config.php", config)}},
		{name: "files only", q: intake.Request{FilesOnly: true}, kind: "generic", want: "./ ./files/ ./files/a",
			items: []item{dir("./"), file("./files/a", "x")}},
		{name: "files alone are no site's directory", q: intake.Request{FilesOnly: true}, kind: "generic", want: "./ ./files/ ./files/a",
			items: []item{file("files/a", "x")}},
		{name: "the first name has the content", kind: "wordpress", want: "./ ./a ./b ./wp-config.php ./z ./database.sql",
			items: []item{dir("./"), file("./z", "same"), hard("./b", "./z"), hard("./a", "./b"), file("./wp-config.php", config), file("./d.sql", dumpText)}},
		{name: "the last of a name counts", kind: "wordpress", want: "./ ./wp-config.php ./database.sql",
			items: []item{dir("./"), file("./wp-config.php", "old"), file("./wp-config.php", config), file("./d.sql", dumpText)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.q.Site = "new.example"
			up := intake.Upload{Tarball: bytes.NewReader(tarOf(t, c.items...))}
			if c.dump != "" {
				up.Dump = func() (string, io.Reader, error) {
					return "beside.sql.xz", bytes.NewReader(packed(t, []byte(c.dump), "xz")), nil
				}
			}
			got, err := r.take(c.q, up)
			r.must(err)
			if got.Kind != c.kind || got.Docroot != c.docroot {
				t.Errorf("kind %q, docroot %q", got.Kind, got.Docroot)
			}
			var names []string
			for _, line := range r.contents(got.Backup) {
				names = append(names, strings.Fields(line)[1])
			}
			if text := strings.Join(names, " "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
			report, err := r.open(got.Backup).Verify(t.Context(), archive.VerifyOptions{ReadData: true})
			if err != nil || report.Found > 0 {
				t.Errorf("the backup is not whole: %v, %v", report.Problems, err)
			}
		})
	}
}

func TestContentOfLinksAndDuplicates(t *testing.T) {
	r := newRig(t)
	got := r.imported(intake.Request{FilesOnly: true}, tarOf(t, dir("./"), file("./z", "same"), hard("./b", "./z"), hard("./a", "./b"),
		file("./twice", "old"), file("./twice", "new"), soft("./s", "a"), hard("./t", "./s"), file("./tool", "x").with(0o4755), soft("./out", "/etc/passwd"), soft("./up", "x/../../y")))
	want := []string{"0755 ./", "0644 ./a same", "0644 ./b -> ./a", "0777 ./out -> /etc/passwd", "0777 ./s -> a", "0777 ./t -> a",
		"0755 ./tool x", "0644 ./twice new", "0777 ./up -> x/../../y", "0644 ./z -> ./a"}
	if list := r.contents(got.Backup); !slices.Equal(list, want) {
		t.Errorf("got  %q\nwant %q", list, want)
	}
	text := strings.Join(got.Backup.Warnings, "\n")
	for _, word := range []string{`"./twice" is in it more than once`, `"./tool": set-id bits of mode 4755 were dropped`, `"./out" is a link that leads out`, `"./up" is a link`} {
		if strings.Count(text, word) != 1 {
			t.Errorf("%s: warnings are\n%s", word, text)
		}
	}
}

// gnuTar packs a directory that fill has filled.
func gnuTar(t *testing.T, format string, fill func(dir string)) []byte {
	t.Helper()
	dir := t.TempDir()
	fill(dir)
	out, err := exec.Command("tar", format, "--sparse", "--mtime=@1700000000", "--owner=www-data:33", "--group=www-data:33", "-C", dir, "-c", "./").Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func touch(t *testing.T, name string) string {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What GNU tar writes in either format comes in: long names, holes, names that are no UTF-8.
func TestGNUTar(t *testing.T) {
	long := strings.Repeat("long", 60)
	for _, format := range []string{"--format=gnu", "--format=posix"} {
		r := newRig(t)
		got := r.imported(intake.Request{FilesOnly: true, Format: "tar.gz"}, gnuTar(t, format, func(dir string) {
			deep := filepath.Join(dir, long, long)
			r.must(os.MkdirAll(deep, 0o755))
			r.must(os.WriteFile(filepath.Join(deep, "caf\xe9"), []byte("latin1"), 0o644))
			r.must(os.Symlink(long+"/"+long, filepath.Join(dir, "link")))
			r.must(os.WriteFile(filepath.Join(dir, "hole"), []byte("begin"), 0o600))
			r.must(os.Truncate(filepath.Join(dir, "hole"), 1<<20))
			r.must(os.Chmod(dir, 0o755))
		}))
		want := []string{"0755 ./", "0600 ./hole 1048576 bytes", "0777 ./link -> " + long + "/" + long, "0755 ./" + long + "/", "0755 ./" + long + "/" + long + "/",
			"0644 ./" + long + "/" + long + "/caf\xe9 latin1"}
		if list := r.contents(got.Backup); !slices.Equal(list, want) || got.Backup.Format != "tar.gz" {
			t.Errorf("%s: got  %q\nwant %q", format, list, want)
		}
	}
}

// A name that is there already gets another id.
func TestSameSecond(t *testing.T) {
	r := newRig(t)
	a := r.imported(intake.Request{Source: "/srv/in/x.tar"}, aegir(t)).Backup
	b := r.imported(intake.Request{}, aegir(t)).Backup
	if a.ID != "new.example-20261123.001336" || b.ID != a.ID+"_1" || a.Description != "Imported from x.tar" {
		t.Errorf("%s %q, %s", a.ID, a.Description, b.ID)
	}
}

func TestOldNameOfTarball(t *testing.T) {
	r := newRig(t)
	got := r.imported(intake.Request{Source: "sftp://host/dir/www.old.example-20260101.120000_2.tar.bz2", FilesOnly: true}, tarOf(t, dir("./"), file("./a", "")))
	if got.OldName != "www.old.example" {
		t.Errorf("old name %q", got.OldName)
	}
}

func TestCleanUp(t *testing.T) {
	r := newRig(t)
	left := filepath.Join(r.dir, ".intake-123")
	r.must(os.MkdirAll(filepath.Join(left, "web"), 0o700))
	r.must(os.WriteFile(filepath.Join(left, "web", "settings.php"), []byte("secret"), 0o600))
	r.must(os.Mkdir(filepath.Join(r.dir, "example.com"), 0o700))
	r.must(intake.CleanUp(r.dir))
	names, err := os.ReadDir(r.dir)
	if err != nil || len(names) != 1 || names[0].Name() != "example.com" {
		t.Errorf("left are %v, %v", names, err)
	}
}

func TestUsage(t *testing.T) {
	for _, q := range []intake.Request{{Format: "zip"}, {Kind: "joomla"}} {
		r := newRig(t)
		if _, err := r.take(q, intake.Upload{Tarball: bytes.NewReader(aegir(t))}); !errs.Is(err, errs.Usage) {
			t.Errorf("%+v: %v", q, err)
		}
		r.nothingLeft()
	}
}
