package archive

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// benchSite is shaped like a PHP site: small text files, and some media.
func benchSite(b *testing.B, files int) *site {
	b.Helper()
	s := newSite(b)
	source := text(1, 4<<20)
	media := noise(2, 8<<20)
	for i := range files {
		name := fmt.Sprintf("d%02d/e%02d/f%05d.php", i%40, i%97, i)
		size := 200 + (i*7919)%23000
		s.write(name, source[(i*104729)%(len(source)-size):][:size])
		if i%40 == 0 {
			size = 50000 + (i*611953)%1500000
			s.write(fmt.Sprintf("d%02d/m%05d.jpg", i%40, i), media[(i*31)%(len(media)-size):][:size])
		}
	}
	return s
}

// discard takes items as a receiver without cost would.
func discard(context.Context, Item) error { return nil }

func BenchmarkSource(b *testing.B) {
	for name, c := range codecs() {
		b.Run(name, func(b *testing.B) {
			s := benchSite(b, 5000)
			var sum Summary
			for b.Loop() {
				src := must[*Source](b)(NewSource(s.root(), SourceOptions{Codec: c}))
				sum = must[Summary](b)(src.Run(context.Background(), discard))
			}
			b.SetBytes(sum.Bytes)
			b.ReportMetric(float64(sum.SentBytes)/float64(sum.Bytes), "ratio")
			b.ReportMetric(float64(sum.PlainBytes/sum.Frames), "B/frame")
		})
	}
}

// BenchmarkUnchanged backs up what did not change since its base.
func BenchmarkUnchanged(b *testing.B) {
	s := benchSite(b, 5000)
	r := s.make(makeOptions{codec: Zstd()}).open(b)
	var sum Summary
	for b.Loop() {
		src := must[*Source](b)(NewSource(s.root(), SourceOptions{Codec: Zstd(), Base: r.BaseFrames(0), BaseStarted: later()}))
		sum = must[Summary](b)(src.Run(context.Background(), discard))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(sum.Entries), "µs/entry")
	if sum.ReadBytes != 0 {
		b.Error("files were read")
	}
}

func BenchmarkAssemble(b *testing.B) {
	s := benchSite(b, 5000)
	var frames []Frame
	src := must[*Source](b)(NewSource(s.root(), SourceOptions{Codec: Zstd()}))
	sum := must[Summary](b)(src.Run(context.Background(), func(_ context.Context, it Item) error {
		f := *it.Frame
		f.Data = append([]byte(nil), f.Data...)
		frames = append(frames, f)
		return nil
	}))
	b.SetBytes(sum.SentBytes)
	for b.Loop() {
		a, _ := newAssembler(b, Zstd())
		for _, f := range frames {
			check(b, a.Append(context.Background(), f))
		}
		check(b, a.CloseTree(sum))
		_, err := a.Finish(context.Background(), testManifest(false))
		check(b, err)
	}
}

func BenchmarkExtract(b *testing.B) {
	s := benchSite(b, 5000)
	m := s.make(makeOptions{codec: Zstd()})
	b.SetBytes(m.tree.Bytes)
	for b.Loop() {
		m.extract(b, ExtractOptions{})
	}
}

func BenchmarkVerify(b *testing.B) {
	m := benchSite(b, 5000).make(makeOptions{codec: Zstd()})
	for _, data := range []bool{false, true} {
		b.Run(fmt.Sprintf("data=%v", data), func(b *testing.B) {
			b.SetBytes(m.result.Size)
			r := m.open(b)
			for b.Loop() {
				_, err := r.Verify(context.Background(), VerifyOptions{ReadData: data})
				check(b, err)
			}
		})
	}
}

func BenchmarkDumpFramer(b *testing.B) {
	statements := bigStatements(1, 20000)
	total := 0
	for _, s := range statements {
		total += len(s)
	}
	b.SetBytes(int64(total))
	for b.Loop() {
		f := must[*DumpFramer](b)(NewDumpFramer(context.Background(), DumpOptions{Codec: Zstd()}, discard))
		for _, s := range statements {
			_, err := io.WriteString(f, s)
			check(b, err)
			check(b, f.EndStatement(1))
		}
		_, err := f.Close()
		check(b, err)
	}
}

// manyEntries makes a tarball whose index has so many entries, without contents
// that fit them.
func manyEntries(b *testing.B, entries int) string {
	b.Helper()
	a, f := newAssembler(b, Zstd())
	frame := frameOf(b, KindTree, string(text(1, 200000)))
	sum := Summary{}
	for n := 0; n < entries; n += 80 {
		frame.Entries = frame.Entries[:0]
		for i := n; i < min(n+80, entries); i++ {
			frame.Entries = append(frame.Entries, Entry{
				Path: fmt.Sprintf("./wp-content/uploads/%04d/photo-%08d.jpg", i/1000, i), Type: TypeRegular, Mode: 0o644,
				UID: 33, GID: 33, Uname: "www-data", Gname: "www-data", Size: int64(i), ModTime: testTime.Add(time.Duration(i) * 1e9),
				ChangeTime: testTime.Add(time.Duration(i) * 1e9), Inode: uint64(i), Device: 7, ContentHash: Hash(noise(uint64(i), 32)), Offset: int64(i-n) * 2048,
			})
		}
		sum.addEntries(frame.Entries)
		sum.Frames++
		sum.PlainBytes += frame.PlainLength
		check(b, a.Append(context.Background(), frame))
	}
	check(b, a.CloseTree(sum))
	_, err := a.Finish(context.Background(), testManifest(false))
	check(b, err)
	return f.Name()
}

// BenchmarkIndex opens an index of 300,000 entries, about a 10 GB tarball's, and
// finds one of them.
func BenchmarkIndex(b *testing.B) {
	name := manyEntries(b, 300000)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			check(b, must[*Reader](b)(OpenFile(name)).Close())
		}
	})
	r := must[*Reader](b)(OpenFile(name))
	defer r.Close()
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			_, err := r.Lookup("wp-content/uploads/0217/photo-00217321.jpg")
			check(b, err)
		}
	})
	b.Run("base", func(b *testing.B) {
		for b.Loop() {
			for _, err := range r.BaseFrames(0) {
				check(b, err)
			}
		}
	})
}

// BenchmarkMemory backs up and splices files and reports the peak of the
// process's resident memory, source and assembler together. A tmpfs as TMPDIR
// makes a million files fast.
func BenchmarkMemory(b *testing.B) {
	for _, files := range []int{10_000, 1_000_000} {
		for shape, perDirectory := range map[string]int{"flat": files, "deep": 100} {
			b.Run(fmt.Sprint(shape, "/", files), func(b *testing.B) {
				s := newSite(b)
				for i := range files {
					dir := fmt.Sprintf("d%05d", i/perDirectory)
					if i%perDirectory == 0 {
						s.mkdir(dir)
					}
					check(b, os.WriteFile(filepath.Join(s.path(dir), fmt.Sprintf("f%07d", i)), nil, 0o600))
				}
				for b.Loop() {
					resetPeakMemory(b)
					first := s.backUp(b, nil)
					check(b, s.backUp(b, first).Close())
					check(b, first.Close())
				}
				b.ReportMetric(peakMemory(b), "peak-MiB")
			})
		}
	}
}

// resetPeakMemory has the kernel count the peak anew: proc(5), clear_refs.
func resetPeakMemory(b *testing.B) {
	b.Helper()
	debug.FreeOSMemory()
	check(b, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200))
}

// peakMemory returns the peak of resident memory in MiB: proc(5), VmHWM.
func peakMemory(b *testing.B) float64 {
	b.Helper()
	status := string(must[[]byte](b)(os.ReadFile("/proc/self/status")))
	_, rest, _ := strings.Cut(status, "VmHWM:")
	var kib float64
	_, err := fmt.Sscan(rest, &kib)
	check(b, err)
	return kib / 1024
}

// backUp makes a tarball and keeps nothing of it in memory.
func (s *site) backUp(b *testing.B, base *Reader) *Reader {
	b.Helper()
	opts := SourceOptions{Codec: Zstd()}
	if base != nil {
		opts.Base, opts.BaseStarted = base.BaseFrames(0), later()
	}
	a, f := newAssembler(b, Zstd())
	src := must[*Source](b)(NewSource(s.root(), opts))
	sum := must[Summary](b)(src.Run(context.Background(), func(ctx context.Context, it Item) error {
		if it.Reference != nil {
			return a.AppendReference(ctx, base, *it.Reference)
		}
		return a.Append(ctx, *it.Frame)
	}))
	check(b, a.CloseTree(sum))
	_, err := a.Finish(context.Background(), testManifest(false))
	check(b, err)
	return must[*Reader](b)(OpenFile(f.Name()))
}
