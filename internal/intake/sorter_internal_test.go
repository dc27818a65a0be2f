package intake

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Records come in order however many runs they lie in, as they were, and again when they are asked for again.
func TestSorter(t *testing.T) {
	for _, most := range []int{1, 5000, 1 << 30} {
		s := newTestSorter(t, most)
		var want []record
		for i := range 300 {
			r := record{number: int64(i), at: int64(i) * 10, entry: archive.Entry{
				Path: fmt.Sprintf("./d%02d/f%d", i%50, i%100), Type: archive.TypeRegular, Mode: 0o640, Size: int64(i), UID: 33, Uname: "www-data",
				ModTime: time.Unix(int64(i), 5).UTC(), Xattrs: []archive.Xattr{{Name: "user.a", Value: "b"}}}}
			want = append(want, r)
		}
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(want)) {
			if err := s.add(want[i]); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, func(a, b record) int { return a.before(&b) })
		for range 2 {
			n := 0
			for r, err := range s.all() {
				if err != nil || fmt.Sprint(r) != fmt.Sprint(want[n]) {
					t.Fatalf("with %d bytes: record %d is %v, %v; want %v", most, n, r, err, want[n])
				}
				n++
			}
			if n != len(want) {
				t.Errorf("with %d bytes: %d records of %d", most, n, len(want))
			}
		}
		twice, last := 0, 0
		for r, err := range s.last(func(record) { twice++ }) {
			if err != nil || r.number < 200 {
				t.Errorf("%v is not the last of its name (%v)", r, err)
			}
			last++
		}
		if twice != 200 || last != 100 {
			t.Errorf("with %d bytes: %d names, %d times more", most, last, twice)
		}
	}
}

func newTestSorter(t *testing.T, most int) *sorter {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "spool")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	shelf, err := store.OpenLocal(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &sorter{spool: &spool{ctx: t.Context(), file: f, room: &room{store: shelf}}, most: most}
}
