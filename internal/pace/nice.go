package pace

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// autogroup is this session's, see sched(7).
const autogroup = "/proc/self/autogroup"

// highest is what the kernel's getpriority adds the niceness's negative to: it returns 1 to 40, see getpriority(2).
const highest = 20

// Nice puts the process, and what it starts, behind others that want a processor: to a niceness of 1 to 19, see
// sched(7). A process that has a higher one keeps it. 0 changes nothing. Call it early: threads that begin meanwhile
// may be missed.
func Nice(niceness int) error {
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return fmt.Errorf("niceness: %w", err)
	}
	if niceness <= highest-now {
		return nil
	}
	threads, err := os.ReadDir("/proc/self/task") // on Linux each thread has its own
	if err != nil {
		return fmt.Errorf("niceness: %w", err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, niceness); err != nil && err != unix.ESRCH { //nolint:errorlint // an Errno
			return fmt.Errorf("niceness %d: %w", niceness, err)
		}
		_ = Turns(tid, ShortTurn) // it may have ended, or may not know any
	}
	niceSession(niceness)
	return nil
}

// niceSession does it for the session, if it is the process's own, as a service's is: where the kernel groups by session
// (which it need not), a niceness counts only among those of its own.
func niceSession(niceness int) {
	if own, err := unix.Getsid(0); err != nil || own != os.Getpid() {
		return
	}
	f, err := os.OpenFile(autogroup, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(strconv.Itoa(niceness))
}
