package staging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// swapNote is the file in the staging directory that has the times of both directories while they are swapped. XFS gives
// a directory another one when it gets another parent, although what is inside has not changed. A call that finds the
// file goes on from where another has died: whatever way the directories lie, their inodes tell which is which.
const swapNote = ".times"

// swapTimes is what the file holds: when the directories were changed last, in nanoseconds since 1970, by inode.
type swapTimes map[uint64]int64

func (a *area) swapNote() string {
	if a.site.Base() == swapNote {
		return swapNote + "-note"
	}
	return swapNote
}

// beginSwap notes the times durably, after those that an earlier swap has lost are brought back.
func (a *area) beginSwap() error {
	if err := a.endSwap(); err != nil {
		return err
	}
	times := swapTimes{}
	err := a.eachSwapped(func(_ *os.Root, inode uint64, at time.Time) error {
		times[inode] = at.UnixNano()
		return nil
	})
	if err != nil {
		return fmt.Errorf("exchange of %s: %w", a.site.Root, err)
	}
	text, err := json.Marshal(times)
	if err == nil {
		err = writeDurably(a.dir, a.swapNote(), text)
	}
	if err != nil {
		return a.explain("note the times of directories", err)
	}
	return nil
}

// endSwap gives swapped directories back the times that were noted. Without a note it does nothing.
func (a *area) endSwap() error {
	if a.dir == nil {
		return nil
	}
	text, err := a.dir.ReadFile(a.swapNote())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var times swapTimes
	if err == nil && json.Unmarshal(text, &times) == nil { // one that was torn has nothing swapped after it
		err = a.setTimes(times)
	}
	if err == nil {
		err = a.dir.Remove(a.swapNote())
	}
	if err != nil {
		return fmt.Errorf("exchange of %s: bring back its time: %w", a.site.Root, err)
	}
	return nil
}

func (a *area) setTimes(times swapTimes) error {
	return a.eachSwapped(func(in *os.Root, inode uint64, at time.Time) error {
		nanoseconds, known := times[inode]
		if want := time.Unix(0, nanoseconds); known && !want.Equal(at) {
			return in.Chtimes(a.site.Base(), time.Time{}, want)
		}
		return nil
	})
}

// eachSwapped tells of the live and the staged directory, if they are there, in which directory each lies.
func (a *area) eachSwapped(f func(in *os.Root, inode uint64, at time.Time) error) error {
	for _, in := range []*os.Root{a.parent, a.dir} {
		info, err := in.Lstat(a.site.Base())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f(in, info.Sys().(*syscall.Stat_t).Ino, info.ModTime())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeDurably writes a file that only the agent may read, and its name.
func writeDurably(dir *os.Root, name string, text []byte) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(dir)
}
