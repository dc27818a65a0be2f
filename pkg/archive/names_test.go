package archive

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEachDirent reads what the kernel gives, and stops at what it would not.
func TestEachDirent(t *testing.T) {
	s := newSite(t)
	want := []string{".a", "...", "b", "ä", "with space"}
	for _, name := range want {
		s.write(name, nil)
	}
	fd := must[int](t)(unix.Open(s.dir, openDir, 0))
	defer unix.Close(fd)
	buf := make([]byte, 4<<10)
	n := must[int](t)(unix.ReadDirent(fd, buf))
	names := func(b []byte) (out []string) {
		eachDirent(b, func(name []byte) { out = append(out, string(name)) })
		slices.Sort(out)
		return out
	}
	slices.Sort(want)
	if got := names(buf[:n]); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for end := range n {
		if got := names(buf[:end]); len(got) > len(want) {
			t.Errorf("%d of %d bytes: %q", end, n, got)
		}
	}
	buf[direntLength], buf[direntLength+1] = 0, 0
	if got := names(buf[:n]); len(got) != 0 {
		t.Errorf("behind an entry without length: %q", got)
	}
}

// TestNamesOfOneDirectoryAreBounded: a run's memory is that of its names, however many there are.
func TestNamesOfOneDirectoryAreBounded(t *testing.T) {
	const most = 100
	r := newNameRun(-1, most, nil)
	r.more = false
	name := []byte("0000000000")
	for i := range 50 * most {
		for j, x := len(name)-1, uint32(i)*2654435761; j >= 0; j, x = j-1, x/10 {
			name[j] = '0' + byte(x%10)
		}
		r.add(name)
	}
	r.shrink()
	if len(r.name) != most || cap(r.name) > 3*most || cap(r.text)+cap(r.free) > 6*most*len(name) {
		t.Errorf("%d names in %d, text in %d and %d bytes", len(r.name), cap(r.name), cap(r.text), cap(r.free))
	}
}
