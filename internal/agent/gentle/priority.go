package gentle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/pace"
)

// Of include/uapi/linux/ioprio.h: class in the upper bits, level in the lower.
const (
	ioprioWhoProcess = 1 // of one thread, in spite of its name
	ioprioClassShift = 13
	ioprioIdle       = 3 << ioprioClassShift
	ioprioNone       = 0 // as the niceness says

	// autogroup is this session's, see sched(7).
	autogroup = "/proc/self/autogroup"
)

// Threads returns the Priority of this process: SCHED_IDLE, the shortest turns and the
// disk's idle class for all of its threads. Programs that are started meanwhile inherit it.
// It fails where the process would not be allowed to come back: without
// CAP_SYS_NICE that needs LimitNICE= to cover its niceness.
func Threads() (Priority, error) {
	if err := rehearse(); err != nil {
		return nil, fmt.Errorf("lowest priority: %w", err)
	}
	return func(lowest bool) {
		setAll(lowest)
		setSession(autogroup, lowest)
	}, nil
}

// setSession lowers the session, if it is the process's own, as a service's is: where the kernel groups sessions by
// itself, what a thread's priority says counts only among its session's threads.
func setSession(path string, lowest bool) {
	if own, err := unix.Getsid(0); err != nil || own != os.Getpid() {
		return
	}
	niceness := "0"
	if lowest {
		niceness = "19"
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // not there in kernels without such groups
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(niceness)
}

// rehearse goes there and back on a thread that ends with it.
func rehearse() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		done <- errors.Join(set(0, true), set(0, false))
	}()
	return <-done
}

// setAll goes over the threads until there are none that it has not met: a new
// one has the priority of the thread that made it.
func setAll(lowest bool) {
	met := map[int]bool{}
	for range 8 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		fresh := false
		for _, t := range tasks {
			tid, err := strconv.Atoi(filepath.Base(t.Name()))
			if err != nil || met[tid] {
				continue
			}
			met[tid], fresh = true, true
			_ = set(tid, lowest) // it may have ended; the right to do it was rehearsed
		}
		if !fresh {
			return
		}
	}
}

// set changes one thread; 0 is the calling one.
func set(tid int, lowest bool) error {
	policy, disk := unix.SCHED_NORMAL, ioprioNone
	if lowest {
		policy, disk = unix.SCHED_IDLE, ioprioIdle
		_ = pace.Turns(tid, pace.ShortTurn) // kept under the other policy, which cannot set it
	}
	var param struct{ priority int32 }
	_, _, failed := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), uintptr(policy), uintptr(unsafe.Pointer(&param)))
	if failed != 0 {
		return fmt.Errorf("sched_setscheduler: %w", failed)
	}
	if !lowest {
		_ = pace.Turns(tid, 0)
	}
	if _, _, failed := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(tid), uintptr(disk)); failed != 0 && failed != unix.ENOSYS {
		return fmt.Errorf("ioprio_set: %w", failed)
	}
	return nil
}
