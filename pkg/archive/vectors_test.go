package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
)

var updateVectors = flag.Bool("update-vectors", false, "make testdata/*.tar.* and their .json anew")

// vector is what a reader must find in a tarball.
type vector struct {
	Digest   string            `json:"digest"`
	Manifest json.RawMessage   `json:"manifest"`
	Frames   []vectorFrame     `json:"frames"`
	Entries  []json.RawMessage `json:"entries"`
	Sections []Section         `json:"sections"`
	Contents map[string]string `json:"contents"` // of small files
}

type vectorFrame struct {
	Kind                                 string
	Offset, Length, Padding, PlainLength int64
	Hash, PlainHash                      string
}

// TestVectors reads the tarballs in testdata, byte for byte as they were written
// when the format was fixed.
func TestVectors(t *testing.T) {
	if *updateVectors {
		makeVectors(t)
	}
	names := must[[]string](t)(filepath.Glob("testdata/*.tar.*.json"))
	if len(names) < 4 {
		t.Fatalf("only %d vectors in testdata", len(names))
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want := must[[]byte](t)(os.ReadFile(name))
			tarball := strings.TrimSuffix(name, ".json")
			got := describeTarball(t, tarball)
			if string(got) != string(want) {
				t.Errorf("a reader finds\n%s", got)
			}
			f := must[*os.File](t)(os.Open(tarball))
			defer f.Close()
			size := must[os.FileInfo](t)(f.Stat()).Size()
			_, err := Verify(context.Background(), f, size, VerifyOptions{ReadData: true})
			check(t, err)
		})
	}
}

// describeTarball is indented JSON of everything that a reader can tell.
func describeTarball(t *testing.T, name string) []byte {
	t.Helper()
	r := must[*Reader](t)(OpenFile(name))
	defer r.Close()
	v := vector{Digest: r.Digest().String(), Contents: map[string]string{}}
	v.Manifest = compactJSON(t, must[[]byte](t)(protojson.Marshal(r.Manifest())))
	for f, err := range r.Frames() {
		check(t, err)
		v.Frames = append(v.Frames, vectorFrame{f.Kind.String(), f.Offset, f.Length, f.Padding, f.PlainLength, f.Hash.String(), f.PlainHash.String()})
	}
	for e, err := range r.Entries() {
		check(t, err)
		v.Entries = append(v.Entries, compactJSON(t, must[[]byte](t)(protojson.Marshal(EntryToProto(&e)))))
		if e.Type != TypeRegular || e.Size > 1000 {
			continue
		}
		rc := must[io.ReadCloser](t)(r.OpenEntry(context.Background(), e))
		v.Contents[e.Name()] = string(must[[]byte](t)(io.ReadAll(rc)))
		check(t, rc.Close())
	}
	for s, err := range r.Sections() {
		check(t, err)
		v.Sections = append(v.Sections, s)
	}
	return append(must[[]byte](t)(json.MarshalIndent(v, "", "  ")), '\n')
}

// compactJSON takes out the blanks that protojson puts in at random.
func compactJSON(t *testing.T, b []byte) json.RawMessage {
	t.Helper()
	var v any
	check(t, json.Unmarshal(b, &v))
	return must[[]byte](t)(json.Marshal(v))
}

func makeVectors(t *testing.T) {
	t.Helper()
	s := newSite(t)
	s.write("index.php", []byte("<?php echo 1;\n"))
	s.write("files/photo.jpg", append(noise(1, 9000), make([]byte, SmallFile)...))
	s.write("files/text.txt", bytes.Repeat([]byte("a line of text\n"), 2*SliceSize/15+10))
	s.write("database.sql", []byte("own"))
	s.write("bad\xffname", []byte("x"))
	s.write(strings.Repeat("long/", 60)+"leaf", []byte("leaf"))
	check(t, os.Link(s.path("index.php"), s.path("second.php")))
	check(t, os.Symlink("index.php", s.path("link")))
	s.sparse("sparse.img", 3<<20)
	dump := []section{
		{SectionHead, "", []string{"-- head\n"}}, {SectionTable, "t", []string{"CREATE TABLE t (a int);\n"}},
		{SectionData, "t", slices.Repeat([]string{"INSERT INTO t VALUES (1),(2),(3);\n"}, 40000)}, {SectionTail, "", []string{"-- Dump completed\n"}},
	}
	for name, c := range codecs() {
		for kind, o := range map[string]makeOptions{
			"plain":   {codec: c, source: SourceOptions{Clock: fixedClock}},
			"aligned": {codec: c, source: SourceOptions{Clock: fixedClock}, dump: dump, align: 4096},
		} {
			m := s.make(o)
			to := filepath.Join("testdata", kind+"-"+name+c.Format().Suffix())
			check(t, os.WriteFile(to, must[[]byte](t)(os.ReadFile(m.path)), 0o644))
			check(t, os.WriteFile(to+".json", describeTarball(t, to), 0o644))
		}
	}
}
