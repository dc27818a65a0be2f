package pace

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ShortTurn is the shortest that the kernel's scheduler knows. Threads with a niceness have their processor until their
// turn ends, even where somebody more important has come: up to 3 or 4 ms by default, which the visitors of a site feel.
const ShortTurn = 100 * time.Microsecond

// Turns sets for how long a thread of the usual policy keeps a processor that others want; 0 is the kernel's default. The
// thread 0 is the calling one. Threads that it makes have the same. Kernels before 6.12 have turns of their own, and
// ignore it: see sched_setattr(2) and the kernel's Documentation/scheduler/sched-eevdf.rst.
func Turns(thread int, d time.Duration) error {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err == nil {
		attr.Runtime = uint64(d)
		attr.Flags = 0
		err = unix.SchedSetAttr(thread, attr, 0)
	}
	if err != nil {
		return fmt.Errorf("turns of %s: %w", d, err)
	}
	return nil
}
