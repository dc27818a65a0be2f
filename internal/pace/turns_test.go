package pace

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTurns(t *testing.T) {
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is not used again
		before, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		for _, d := range []time.Duration{ShortTurn, 0} {
			if err := Turns(0, d); err != nil {
				t.Error(err)
			}
			now, err := unix.SchedGetAttr(0, 0)
			if err != nil || now.Policy != before.Policy || now.Nice != before.Nice {
				t.Errorf("%+v, %v; before it was %+v", now, err, before)
			}
			// Kernels before 6.12 tell none.
			if known := before.Runtime != 0; known && d != 0 && now.Runtime != uint64(d) || d == 0 && now.Runtime != before.Runtime {
				t.Errorf("turns of %s are %d ns; before they were %d", d, now.Runtime, before.Runtime)
			}
		}
	}()
	<-done
}
