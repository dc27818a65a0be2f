package archive

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// damages is how many of each kind are done to a tarball, at places of chance.
const damages = 36

// tarball is a small one with all kinds of frames, and what its index tells.
type tarball struct {
	*testing.T
	whole  []byte
	frames []FrameInfo
	paths  map[uint64][]string // of entries that have a part in a frame, but the dump
	chance *rand.Rand
}

func newTarball(t *testing.T, c Codec) *tarball {
	m := smallSite(t).make(makeOptions{codec: c, dump: smallDump(), align: 4096})
	b := &tarball{T: t, whole: must[[]byte](t)(os.ReadFile(m.path)), paths: map[uint64][]string{}, chance: rand.New(rand.NewPCG(7, 11))}
	r := m.open(t)
	for f, err := range r.Frames() {
		check(t, err)
		b.frames = append(b.frames, f)
	}
	for e, err := range r.Entries() {
		check(t, err)
		for n := e.Frame; n <= e.Frame+e.Span && e.Path != DumpPath; n++ {
			b.paths[n] = append(b.paths[n], e.Path)
		}
	}
	return b
}

// frameAt returns the frame that has a byte, or nil behind the last.
func (b *tarball) frameAt(at int64) *FrameInfo {
	for i := range b.frames {
		if f := &b.frames[i]; at >= f.Offset && at < f.End() {
			return f
		}
	}
	return nil
}

// tells checks that a damaged tarball is found out, by compressed bytes alone and
// with decompression, and returns what is told without.
func (b *tarball) tells(what string, damaged []byte) VerifyReport {
	b.Helper()
	report, err := verifyBytes(b.T, damaged, false)
	if !found(err) || report.Found == 0 {
		b.Errorf("%s: %v, %+v", what, err, report)
	}
	if _, err := verifyBytes(b.T, damaged, true); !found(err) {
		b.Errorf("%s, with data: %v", what, err)
	}
	return report
}

// found reports whether an error of Verify tells of damage: a tarball without an
// index is none that a store of ours lists.
func found(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNoIndex) || errors.Is(err, ErrVersion)
}

// names checks that a frame is among what a report tells of, with an entry that has a part in it.
func (b *tarball) names(what string, report VerifyReport, f *FrameInfo) {
	b.Helper()
	for _, p := range report.Problems {
		if p.Frame != int64(f.Number) {
			continue
		}
		if known := b.paths[f.Number]; len(known) == 0 || slices.ContainsFunc(known, func(path string) bool { return slices.Contains(p.Paths, path) }) {
			return
		}
	}
	b.Errorf("%s: frame %d with %q is not named: %v", what, f.Number, b.paths[f.Number], report.Problems)
}

// TestDamageAnywhereIsFound damages tarballs at random: a flipped bit, a cut,
// frames in each other's place, a tail.
func TestDamageAnywhereIsFound(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		b := newTarball(t, c)
		b.flips()
		b.cuts()
		b.swaps()
		b.tails()
	})
}

func (b *tarball) flips() {
	for range damages {
		at, bit := b.chance.Int64N(int64(len(b.whole))), b.chance.IntN(8)
		what := fmt.Sprintf("bit %d of byte %d", bit, at)
		report := b.tells(what, flip(b.whole, at, bit))
		if f := b.frameAt(at); f != nil {
			b.names(what, report, f)
			if report.Found != 1 {
				b.Errorf("%s: %d problems: %v", what, report.Found, report.Problems)
			}
		}
	}
}

func (b *tarball) cuts() {
	first := b.frames[0].End()
	for range damages {
		at := first + 1 + b.chance.Int64N(int64(len(b.whole))-first-1)
		what := fmt.Sprintf("cut at %d of %d", at, len(b.whole))
		report := b.tells(what, b.whole[:at])
		if f := b.frameAt(at - 1); f != nil && at < f.Offset+f.Length && (len(report.Problems) == 0 || report.Problems[0].Frame != int64(f.Number)) {
			b.Errorf("%s: frame %d is not named: %v", what, f.Number, report.Problems)
		}
	}
}

// swaps has two frames change places, of whatever lengths; what lies between moves.
func (b *tarball) swaps() {
	for range damages / 3 {
		i, j := b.chance.IntN(len(b.frames)), b.chance.IntN(len(b.frames))
		if i == j {
			continue
		}
		x, y := b.frames[min(i, j)], b.frames[max(i, j)]
		damaged := slices.Concat(b.whole[:x.Offset], b.whole[y.Offset:y.End()], b.whole[x.End():y.Offset], b.whole[x.Offset:x.End()], b.whole[y.End():])
		if bytes.Equal(damaged, b.whole) {
			continue
		}
		what := fmt.Sprintf("frames %d and %d swapped", x.Number, y.Number)
		report := b.tells(what, damaged)
		b.names(what, report, &x)
		b.names(what, report, &y)
	}
}

func (b *tarball) tails() {
	for range damages / 10 {
		tail := noise(b.chance.Uint64(), 1+b.chance.IntN(1<<16))
		switch b.chance.IntN(3) {
		case 0:
			clear(tail)
		case 1:
			tail = b.whole[b.chance.IntN(len(b.whole)):] // ends with a trailer
		}
		what := fmt.Sprintf("tail of %d bytes", len(tail))
		report := b.tells(what, append(bytes.Clone(b.whole), tail...))
		if len(report.Problems) == 0 || report.Problems[0].Offset < 0 {
			b.Errorf("%s: no place is named: %+v", what, report)
		}
	}
}
