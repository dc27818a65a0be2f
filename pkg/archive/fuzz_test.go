package archive

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func seeds(f *testing.F) {
	names, err := filepath.Glob("testdata/plain-*.tar.*")
	check(f, err)
	for _, name := range names {
		if filepath.Ext(name) != ".json" {
			f.Add(must[[]byte](f)(os.ReadFile(name)))
		}
	}
}

// FuzzOpen opens and reads anything: it may fail, and must neither crash nor
// read without end.
func FuzzOpen(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Verify(context.Background(), bytes.NewReader(b), int64(len(b)), VerifyOptions{ReadData: true})
	})
}

// FuzzIndex reads a stream of records as an index that is sound by its hashes:
// what only a hostile writer makes.
func FuzzIndex(f *testing.F) {
	w := &bytes.Buffer{}
	x := must[*indexWriter](f)(newIndexWriter(w))
	check(f, x.frame(&FrameInfo{Kind: KindTree, Length: 9, PlainLength: 512}, []Entry{{Path: "./", Type: TypeDirectory}}))
	check(f, x.section(&Section{Kind: SectionData, Name: "t", Length: 5}))
	plain := bytes.Clone(x.block)
	check(f, x.close(testManifest(true)))
	f.Add(plain)
	enc := must[*zstd.Encoder](f)(zstd.NewWriter(nil))
	f.Fuzz(func(t *testing.T, records []byte) {
		b := sealIndex(enc, records)
		r, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		readEverything(r)
	})
}

// sealIndex makes a tarball without frames around records.
func sealIndex(enc *zstd.Encoder, records []byte) []byte {
	w := &bytes.Buffer{}
	x := &indexWriter{w: w, encoder: enc, sum: newHash(), block: records}
	_ = x.flush() // into memory
	t := trailer{format: TarZstd, payload: x.payload, plain: x.plain, digest: x.digest()}
	carrier := appendCarrier(nil, TarZstd, tagIndex, w.Bytes())
	t.indexLength, t.region = int64(len(carrier)), hashOf(carrier)
	return append(carrier, t.encode()...)
}

func readEverything(r *Reader) {
	for e, err := range r.Entries() {
		if err != nil {
			break
		}
		_, _ = r.Lookup(e.Path)
		if rc, err := r.OpenEntry(context.Background(), e); err == nil {
			_, _ = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
	}
	for s, err := range r.Sections() {
		if err != nil {
			break
		}
		if rc, err := r.OpenSection(context.Background(), s); err == nil {
			_, _ = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
	}
	for range r.BaseFrames(0) {
	}
	for range r.BaseDumpFrames(0) {
	}
	for range ResumeFrames(r, r) {
	}
}

// FuzzFrame decompresses anything as a frame that claims a length.
func FuzzFrame(f *testing.F) {
	for _, c := range codecs() {
		comp := must[*compressor](f)(newCompressor(c, 1<<20))
		fr := must[Frame](f)(comp.frame(KindTree, nil, text(1, 5000)))
		f.Add(fr.Data, int64(5000))
	}
	f.Fuzz(func(t *testing.T, data []byte, length int64) {
		for _, format := range Formats() {
			dec := must[*decompressor](t)(newDecompressor(format))
			out, err := dec.decompress(nil, data, length)
			if err == nil && int64(len(out)) != length {
				t.Errorf("%d bytes instead of %d", len(out), length)
			}
			dec.close()
		}
	})
}

// FuzzExtract extracts anything as a tar stream, and looks at what lies beside.
func FuzzExtract(f *testing.F) {
	f.Add(tarOf(f, dir("a"), file("a/b", "x"), link('2', "c", "../outside"), file("c/secret", "y")))
	f.Add(tarOf(f, file("database.sql~site", "x"), link('1', "h", "a"), file("../x", "y")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 1<<20 {
			return
		}
		p := newPrison(t)
		before := listing(t, p.outside)
		_, _ = p.extract(t, stream, ExtractOptions{WithDump: true})
		compareTrees(t, before, listing(t, p.outside))
		if beside := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(p.inside))); len(beside) != 2 {
			t.Errorf("beside the directory: %v", beside)
		}
	})
}
