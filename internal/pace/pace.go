// Package pace sets how often the garbage collector of our two daemons runs, and
// who on their machine goes first. It knows nothing of what they do.
package pace

import (
	"os"
	"runtime/debug"
)

// percent is the GOGC of the daemons. What they hold while frames pass is mostly
// buffers without pointers, which cost a collector nothing to look at: with 50 a
// master with four sites peaks at 63 MiB in place of 77, their agent at 85 in
// place of 105, for no more CPU with one site.
const percent = 50

// untouched is counted as part of the heap and takes no memory, because nothing is ever written to it.
var untouched []byte //nolint:unused // that it is held is its use

// Daemon sets the collector's pace, unless the operator has with GOGC. Half of spare, in bytes, is what a small daemon may
// allocate at least between two collections, and so what it may grow by. Without it that is 2 MiB, which the backup of one
// small site takes several times, and each collection keeps all processors from visitors for a moment: with 16 MiB for
// all, 500 small sites took 3.9 to 4.4 s of CPU in place of 5.4.
func Daemon(spare int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
		untouched = make([]byte, spare)
	}
}
