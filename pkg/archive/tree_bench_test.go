package archive

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchTree is the directory that SITEKEEP_TREE names, to measure with files as
// sites have them, or else one like it but smaller.
func benchTree(b *testing.B) *site {
	b.Helper()
	if dir := os.Getenv("SITEKEEP_TREE"); dir != "" {
		return &site{b, dir}
	}
	return benchSite(b, 5000)
}

// benchCodec is what a master asks for by itself: level 1 of tar.zst.
func benchCodec(b *testing.B) Codec {
	b.Helper()
	return must[Codec](b)(NewCodec(TarZstd, 1))
}

// processorTime is what the process has used so far, the kernel's part included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// eachWithCPU runs fn as often as b wants, and reports processor time for each GB.
func eachWithCPU(b *testing.B, bytes int64, fn func()) {
	b.Helper()
	b.SetBytes(bytes)
	before := processorTime(b)
	for b.Loop() {
		fn()
	}
	used := processorTime(b) - before
	b.ReportMetric(used.Seconds()/float64(b.N)/float64(bytes)*1e9, "cpu-s/GB")
}

// keptFrames backs s up and keeps the frames.
func keptFrames(b *testing.B, s *site) ([]Frame, Summary) {
	b.Helper()
	var frames []Frame
	src := must[*Source](b)(NewSource(s.root(), SourceOptions{Codec: benchCodec(b)}))
	sum := must[Summary](b)(src.Run(context.Background(), func(_ context.Context, it Item) error {
		f := *it.Frame
		f.Data = append([]byte(nil), f.Data...)
		frames = append(frames, f)
		return nil
	}))
	return frames, sum
}

// BenchmarkTree takes the stages of a backup and a restore one by one.
func BenchmarkTree(b *testing.B) {
	s := benchTree(b)
	var sum Summary
	source := func(opts SourceOptions) {
		opts.Codec = benchCodec(b)
		src := must[*Source](b)(NewSource(s.root(), opts))
		sum = must[Summary](b)(src.Run(context.Background(), discard))
	}
	source(SourceOptions{})
	size := sum.Bytes
	b.Run("source", func(b *testing.B) {
		eachWithCPU(b, size, func() { source(SourceOptions{}) })
		b.ReportMetric(float64(sum.SentBytes)/float64(size), "ratio")
		b.ReportMetric(float64(sum.PlainBytes/sum.Frames), "B/frame")
	})
	frames, sum := keptFrames(b, s)
	b.Run("assemble", func(b *testing.B) {
		eachWithCPU(b, size, func() { assembleKept(b, frames, sum) })
	})
	r := must[*Reader](b)(OpenFile(assembleKept(b, frames, sum)))
	defer r.Close()
	b.Run("unchanged", func(b *testing.B) {
		eachWithCPU(b, size, func() { source(SourceOptions{Base: r.BaseFrames(0), BaseStarted: later()}) })
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(sum.Entries), "µs/entry")
	})
	b.Run("splice", func(b *testing.B) {
		eachWithCPU(b, size, func() { assembleSpliced(b, r, sum) })
	})
	b.Run("extract", func(b *testing.B) {
		eachWithCPU(b, size, func() { extractKept(b, frames) })
	})
}

// assembleKept makes a tarball of frames and returns its name.
func assembleKept(b *testing.B, frames []Frame, sum Summary) string {
	a, f := newAssembler(b, benchCodec(b))
	for _, f := range frames {
		check(b, a.Append(context.Background(), f))
	}
	check(b, a.CloseTree(sum))
	_, err := a.Finish(context.Background(), testManifest(false))
	check(b, err)
	return f.Name()
}

// assembleSpliced makes a tarball of what a base has.
func assembleSpliced(b *testing.B, base *Reader, sum Summary) {
	a, f := newAssembler(b, benchCodec(b))
	left := uint64(sum.Frames)
	for first := uint64(0); left > 0; {
		n := min(left, maxReferences)
		check(b, a.AppendReference(context.Background(), base, Reference{Kind: KindTree, First: first, Count: n}))
		first, left = first+n, left-n
	}
	sum.References = sum.Frames
	check(b, a.CloseTree(sum))
	_, err := a.Finish(context.Background(), testManifest(false))
	check(b, err)
	check(b, os.Remove(f.Name()))
}

// extractKept extracts frames into a directory of its own, which stays until the
// benchmark ends: removing it in between would slow down what comes next.
func extractKept(b *testing.B, frames []Frame) {
	root := must[*os.Root](b)(os.OpenRoot(b.TempDir()))
	defer root.Close()
	x := must[*Extractor](b)(NewExtractor(context.Background(), root, TarZstd, ExtractOptions{WithDump: true}))
	for _, f := range frames {
		check(b, x.Put(context.Background(), f))
	}
	comp := must[*compressor](b)(newCompressor(benchCodec(b), 64<<10))
	check(b, x.Put(context.Background(), must[Frame](b)(comp.frame(KindGlue, nil, make([]byte, endBlocks)))))
	_, err := x.Finish(context.Background())
	check(b, err)
}
