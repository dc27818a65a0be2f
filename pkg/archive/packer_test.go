package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// packEntries collects the frames of a packer that add feeds.
func packEntries(t *testing.T, opts PackerOptions, add func(*Packer) error) ([]Frame, Summary, error) {
	t.Helper()
	var frames []Frame
	p, err := NewPacker(t.Context(), opts, func(_ context.Context, it Item) error {
		f := *it.Frame
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	if err := add(p); err != nil {
		return nil, Summary{}, err
	}
	sum, err := p.Close()
	return frames, sum, err
}

// A packer makes the very frames that a Source makes of the same entries: borders, headers and hashes.
func TestPackerLikeSource(t *testing.T) {
	for _, codec := range []Codec{Zstd(), Gzip()} {
		dir := t.TempDir()
		for i := range 700 {
			name := filepath.Join(dir, fmt.Sprintf("d%d", i%7), fmt.Sprintf("%s%d", strings.Repeat("long", i%40), i))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, i*3), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		big := filepath.Join(dir, "database.sql")
		if err := errors.Join(os.WriteFile(big, bytes.Repeat([]byte("big"), 1<<20), 0o600), os.Symlink("d0", filepath.Join(dir, "link")), os.Link(big, filepath.Join(dir, "twin"))); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		source, err := NewSource(root, SourceOptions{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		var want []Frame
		wanted, err := source.Run(t.Context(), func(_ context.Context, it Item) error {
			f := *it.Frame
			f.Data = bytes.Clone(f.Data)
			want = append(want, f)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got, sum, err := packEntries(t, PackerOptions{Codec: codec}, func(p *Packer) error {
			for _, f := range want {
				for _, e := range f.Entries {
					e.Path, e.SitePath = e.Name(), ""
					if e.Type == TypeHardlink {
						e.LinkTarget = "./database.sql"
					}
					content, err := os.Open(filepath.Join(dir, e.Path))
					if err == nil {
						err = errors.Join(p.Add(e, content), content.Close())
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil || len(got) != len(want) || sum.Totals != wanted.Totals || sum.PlainBytes != wanted.PlainBytes || sum.Frames != wanted.Frames {
			t.Fatalf("%d frames, %+v, %v; want %d, %+v", len(got), sum, err, len(want), wanted)
		}
		for i := range got {
			if got[i].PlainHash != want[i].PlainHash || got[i].Hash != want[i].Hash || len(got[i].Entries) != len(want[i].Entries) {
				t.Fatalf("frame %d differs: %v with %d entries, want %v with %d", i, got[i].PlainHash, len(got[i].Entries), want[i].PlainHash, len(want[i].Entries))
			}
			for k, e := range got[i].Entries {
				w := want[i].Entries[k]
				w.ChangeTime, w.Inode, w.Device = time.Time{}, 0, 0
				if fmt.Sprint(e) != fmt.Sprint(w) {
					t.Fatalf("entry %+v, want %+v", e, w)
				}
			}
		}
	}
}

func TestPackerRefusals(t *testing.T) {
	root := Entry{Path: "./", Type: TypeDirectory, Mode: 0o755}
	regular := func(name string) Entry { return Entry{Path: name, Type: TypeRegular, Mode: 0o644, Size: 1} }
	for _, c := range []struct {
		name    string
		entries []Entry
		want    error
	}{
		{"upwards", []Entry{root, regular("./../x")}, ErrUnsafe},
		{"absolute", []Entry{root, regular("/x")}, ErrUnsafe},
		{"without ./", []Entry{root, regular("x")}, ErrUnsafe},
		{"not clean", []Entry{root, regular("./a//b")}, ErrUnsafe},
		{"no root", []Entry{regular("./a")}, ErrUnsafe},
		{"root is a file", []Entry{regular("./")}, ErrUnsafe},
		{"no directory", []Entry{root, regular("./a/b")}, ErrUnsafe},
		{"below a file", []Entry{root, regular("./a"), regular("./a/b")}, ErrUnsafe},
		{"below a link", []Entry{root, {Path: "./a", Type: TypeSymlink, LinkTarget: "/etc"}, regular("./a/b")}, ErrUnsafe},
		{"beside its directory", []Entry{root, {Path: "./a", Type: TypeDirectory}, regular("./b"), regular("./c/d")}, ErrUnsafe},
		{"hard link upwards", []Entry{root, {Path: "./a", Type: TypeHardlink, LinkTarget: "./../b"}}, ErrUnsafe},
		{"cut off", []Entry{root, {Path: "./a", Type: TypeRegular, Size: 2}}, ErrIncomplete},
		{"cut off, large", []Entry{root, {Path: "./a", Type: TypeRegular, Size: 5 << 20}}, ErrIncomplete},
		{"out of order", []Entry{root, regular("./b"), regular("./a")}, nil},
		{"twice", []Entry{root, regular("./b"), regular("./b")}, nil},
		{"mode", []Entry{root, {Path: "./a", Type: TypeDirectory, Mode: 1 << 20}}, nil},
		{"size", []Entry{root, {Path: "./a", Type: TypeRegular, Size: -1}}, nil},
	} {
		_, _, err := packEntries(t, PackerOptions{Codec: Zstd(), NoDump: true}, func(p *Packer) error {
			for _, e := range c.entries {
				if err := p.Add(e, strings.NewReader("x")); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// An error of emit comes back, and what was called afterwards is told.
func TestPackerEnds(t *testing.T) {
	away := errors.New("away")
	p, err := NewPacker(t.Context(), PackerOptions{Codec: Zstd()}, func(context.Context, Item) error { return away })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(Entry{Path: "./", Type: TypeDirectory}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Close(); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
	p.Abort()
	if err := p.Add(Entry{Path: "./a", Type: TypeDirectory}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := NewPacker(t.Context(), PackerOptions{}, nil); err == nil {
		t.Error("there is a packer without a codec")
	}
}

// What stands behind the end of a tar stream is zeros or refused; a link to what has another name in the tarball leads to
// its name in the site.
func TestScanForeign(t *testing.T) {
	own := Entry{Path: "./database.sql~site", SitePath: "./database.sql", Type: TypeRegular, Size: 1}
	link := Entry{Path: "./link", Type: TypeHardlink, LinkTarget: "./database.sql~site"}
	stream := append(appendHeader(nil, &own, 1, TarZstd), make([]byte, 512)...)
	stream = append(appendHeader(stream, &link, 0, TarZstd), make([]byte, 1024)...)
	for behind, want := range map[string]error{"": nil, string(make([]byte, 8192)): nil, string(make([]byte, 8192)) + "x": ErrCorrupt} {
		var got []string
		err := ScanForeign(t.Context(), io.MultiReader(bytes.NewReader(stream), strings.NewReader(behind)), func(e Entry, _ io.Reader) error {
			got = append(got, e.Name()+" "+e.LinkTarget)
			return nil
		})
		if !errors.Is(err, want) || strings.Join(got, ", ") != "./database.sql , ./link ./database.sql" {
			t.Errorf("%d bytes behind: %q, %v", len(behind), got, err)
		}
	}
}
