package archive

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// copied returns a copy of s in which nothing but inodes and change times
// differs, as a restore leaves a site.
func (s *site) copied(t testing.TB) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", s.dir, dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	return &site{t, dir}
}

// BenchmarkReread backs up a site whose files have new inodes and change times
// and the old contents, beside a first backup of it.
func BenchmarkReread(b *testing.B) {
	s := benchTree(b)
	r := must[*Reader](b)(OpenFile(s.make(makeOptions{codec: benchCodec(b)}).path))
	defer r.Close()
	moved := s.copied(b)
	for name, opts := range map[string]func() SourceOptions{
		"first":  func() SourceOptions { return SourceOptions{} },
		"reread": func() SourceOptions { return SourceOptions{Base: r.BaseFrames(0), BaseStarted: later()} },
	} {
		b.Run(name, func(b *testing.B) {
			var sum Summary
			eachWithCPU(b, int64(r.Manifest().GetTotals().GetBytes()), func() {
				o := opts()
				o.Codec = benchCodec(b)
				src := must[*Source](b)(NewSource(moved.root(), o))
				sum = must[Summary](b)(src.Run(context.Background(), discard))
			})
			b.ReportMetric(float64(sum.SentBytes)/float64(sum.Bytes), "sent/B")
		})
	}
}
