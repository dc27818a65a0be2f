package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// crafted makes a tarball without frames whose index has the given records, and
// whose trailer an accomplice spoils before it is sealed.
func crafted(t *testing.T, fill func(*indexWriter), spoil func(*trailer)) []byte {
	t.Helper()
	w := &bytes.Buffer{}
	x := must[*indexWriter](t)(newIndexWriter(w))
	fill(x)
	check(t, x.flush())
	tr := trailer{format: TarZstd, payload: x.payload, plain: x.plain, digest: x.digest()}
	carrier := appendCarrier(nil, TarZstd, tagIndex, w.Bytes())
	tr.indexLength, tr.region = int64(len(carrier)), hashOf(carrier)
	spoil(&tr)
	return append(carrier, tr.encode()...)
}

// TestCraftedIndexes opens indexes that are sound by their hashes and wrong.
func TestCraftedIndexes(t *testing.T) {
	end := func(x *indexWriter) { check(t, x.close(testManifest(false))) }
	frame := func(offset, length int64) FrameInfo {
		return FrameInfo{Kind: KindTree, Offset: offset, Length: length, PlainLength: 512}
	}
	list := func(frames ...FrameInfo) func(*indexWriter) {
		return func(x *indexWriter) {
			for _, f := range frames {
				check(t, x.frame(&f, nil))
			}
			end(x)
		}
	}
	nothing := func(*trailer) {}
	tests := map[string]struct {
		fill  func(*indexWriter)
		spoil func(*trailer)
		want  string
	}{
		"sound":             {end, nothing, ""},
		"another digest":    {end, func(tr *trailer) { tr.digest[0]++ }, "digest"},
		"another region":    {end, func(tr *trailer) { tr.region[0]++ }, "hash in the trailer"},
		"gap at the start":  {list(frame(5, 10)), nothing, "begins at 5"},
		"gap between":       {list(frame(0, 10), frame(11, 10)), nothing, "begins at 11"},
		"overlap":           {list(frame(0, 10), frame(9, 10)), nothing, "begins at 9"},
		"end too early":     {list(frame(0, 10)), nothing, "last frame ends at 10"},
		"no end mark":       {func(x *indexWriter) { check(t, x.single(fieldManifest, testManifest(false))) }, nothing, "no end mark"},
		"no manifest":       {func(x *indexWriter) { check(t, x.single(fieldEnd, &archivev1.IndexEnd{})) }, nothing, "no manifest"},
		"behind the end":    {func(x *indexWriter) { end(x); end(x) }, nothing, "behind the end mark"},
		"wrong frames":      {func(x *indexWriter) { x.counts.Frames++; end(x) }, nothing, "counts"},
		"wrong entries":     {func(x *indexWriter) { x.counts.Entries++; end(x) }, nothing, "counts"},
		"wrong sections":    {func(x *indexWriter) { x.counts.Sections++; end(x) }, nothing, "counts"},
		"wrong length":      {func(x *indexWriter) { x.counts.PlainBytes++; end(x) }, nothing, "counts"},
		"zero length":       {list(frame(0, 0)), nothing, "length 0"},
		"negative length":   {list(frame(0, -1)), nothing, "length -1"},
		"huge frame":        {list(frame(0, MaxDataLength+1)), nothing, "length"},
		"huge plain length": {list(FrameInfo{Kind: KindTree, Length: 1, PlainLength: MaxPlainLength + 1}), nothing, "plain length"},
		"unknown kind":      {list(FrameInfo{Kind: 9, Length: 1}), nothing, "kind 9"},
		"index elsewhere":   {end, func(tr *trailer) { tr.indexOffset, tr.indexLength = 1, tr.indexLength-1 }, "does not take"},
		"payload longer":    {end, func(tr *trailer) { tr.payload++ }, "does not take"},
		"index is negative": {end, func(tr *trailer) { tr.indexOffset = -5 }, "said to be"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := crafted(t, test.fill, test.spoil)
			_, err := Open(bytes.NewReader(b), int64(len(b)))
			if test.want == "" {
				check(t, err)
				return
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

// TestNewerVersionIsRefused names what to do about it.
func TestNewerVersionIsRefused(t *testing.T) {
	m := smallSite(t).make(makeOptions{codec: Zstd()})
	b := must[[]byte](t)(os.ReadFile(m.path))
	tr := must[trailer](t)(readTrailer(bytes.NewReader(b), int64(len(b))))
	raw := tr.encode()
	p := raw[skipHeader:]
	p[8]++
	sealTrailer(p)
	copy(b[len(b)-len(raw):], raw)
	if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrVersion) {
		t.Errorf("open: %v", err)
	}
}

// TestEntryHashIsChecked reads content whose frame is sound and whose entry's
// hash is not.
func TestEntryHashIsChecked(t *testing.T) {
	b := smallSite(t).makeAltered(t, func(f *Frame) {
		for i := range f.Entries {
			if f.Entries[i].Path == "./c/last.txt" {
				f.Entries[i].ContentHash[0]++
			}
		}
	})
	r := must[*Reader](t)(Open(bytes.NewReader(b), int64(len(b))))
	rc := must[io.ReadCloser](t)(r.OpenEntry(context.Background(), must[Entry](t)(r.Lookup("c/last.txt"))))
	defer rc.Close()
	if _, err := io.ReadAll(rc); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "c/last.txt") {
		t.Errorf("read: %v", err)
	}
}

// TestExtractorRefusesHugeFrames allocates nothing that a frame merely claims.
func TestExtractorRefusesHugeFrames(t *testing.T) {
	root := must[*os.Root](t)(os.OpenRoot(t.TempDir()))
	defer root.Close()
	bomb := must[*zstd.Encoder](t)(zstd.NewWriter(nil)).EncodeAll(make([]byte, 64<<20), nil)
	for _, f := range []Frame{
		{Kind: KindTree, Data: bomb, PlainLength: 64 << 20}, {Kind: KindTree, Data: bomb, PlainLength: 1 << 62},
		{Kind: KindTree, Data: bomb, PlainLength: -1}, {Kind: KindTree, Data: bomb, PlainLength: 512},
	} {
		x := must[*Extractor](t)(NewExtractor(context.Background(), root, TarZstd, ExtractOptions{}))
		err := x.Put(context.Background(), f)
		_, ferr := x.Finish(context.Background())
		if err == nil && !errors.Is(ferr, ErrCorrupt) || ferr == nil {
			t.Errorf("frame that claims %d bytes: %v, %v", f.PlainLength, err, ferr)
		}
	}
}
