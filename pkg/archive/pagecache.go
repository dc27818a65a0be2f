package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// A tarball is written once and read again in a day, or never: in the page cache
// it would only push out what the machine needs. So its pages go to the disk in
// steps, and are given back some steps later, when the disk mostly has them.
// What the disk has not got by then is asked for again in later steps.
const (
	cacheStep  = 16 << 20
	cacheLag   = 4 * cacheStep
	cacheReach = 12 * cacheStep
)

// writeBehind lets the kernel begin to write what has come, so that the sync at
// the end finds little to do, and gives back the pages of what came long before.
// Both are hints: errors show at the sync.
func (a *Assembler) writeBehind() {
	if a.pos-a.synced < cacheStep {
		return
	}
	fd := int(a.opts.File.Fd())
	_ = unix.SyncFileRange(fd, a.synced, a.pos-a.synced, unix.SYNC_FILE_RANGE_WRITE)
	a.synced = a.pos
	end := a.pos - cacheLag
	dropCached(a.opts.File, max(end-cacheReach, 0), end)
}

// dropCached gives back whole clean pages from one offset to another, as
// posix_fadvise(2) describes it. It is a hint. It begins to write those that are
// not clean: it is not for spools, which need never reach the disk.
func dropCached(f *os.File, from, to int64) {
	if from < to { // a length of 0 would mean the whole rest of the file
		_ = unix.Fadvise(int(f.Fd()), from, to-from, unix.FADV_DONTNEED)
	}
}

// dropCopied gives back the pages of an earlier tarball that were copied. Short
// runs are not worth the call.
func dropCopied(s *span) {
	if f, ok := s.src.(*os.File); ok && s.stored && s.length >= 1<<20 {
		dropCached(f, s.offset, s.offset+s.length)
	}
}
