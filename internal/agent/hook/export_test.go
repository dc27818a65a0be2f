package hook

import "time"

// KillAfter has hooks that do not end when they are told killed after d.
func (r *Runner) KillAfter(d time.Duration) *Runner {
	r.killAfter = d
	return r
}
