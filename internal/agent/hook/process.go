package hook

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// pipeWait is how long a hook's output is waited for when a process that has left its group keeps it open.
const pipeWait = time.Second

var errTimeout = errors.New("timeout")

// start runs one hook to its end, and ends with it whatever it has begun.
func (r *Runner) start(ctx context.Context, c *Call, h found) error {
	id, err := r.identity(c.Owner)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.opts.Timeout, errTimeout)
	defer cancel()
	out := &lines{say: func(line string) { c.Say(h.name, line) }}
	cmd := exec.Command(h.path)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, c.environment(&id), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: id.credential}
	cmd.WaitDelay = pipeWait
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return errs.New(errs.Failed, "see that "+id.name+" may read and execute it, and enter both directories; is its interpreter (#!) there?",
			"hook %s, as %s in %s: %w", h.name, id.name, c.Dir, err)
	}
	endGroup(limited, cmd.Process.Pid, r.killAfter)
	err = cmd.Wait()
	out.close()
	switch {
	case errors.Is(context.Cause(limited), errTimeout):
		return fmt.Errorf("hook %s was ended: it ran longer than %s (hooks.timeout in agent.yaml)", h.name, r.opts.Timeout)
	case ctx.Err() != nil:
		return fmt.Errorf("hook %s was ended: %w", h.name, ctx.Err())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("hook %s: %w", h.name, err)
	}
	c.Say(h.name, "done in "+time.Since(begun).Round(time.Millisecond).String())
	return nil
}

// endGroup returns when the leader of a process group has ended, of which it
// makes sure when ctx ends, and all others of the group with it. The leader is
// not reaped yet, so that its number is nobody else's.
func endGroup(ctx context.Context, leader int, killAfter time.Duration) {
	ended := make(chan struct{})
	go func() { defer close(ended); awaitEnd(leader) }()
	select {
	case <-ended:
	case <-ctx.Done():
		_ = syscall.Kill(-leader, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(killAfter):
			_ = syscall.Kill(-leader, syscall.SIGKILL)
			<-ended
		}
	}
	_ = syscall.Kill(-leader, syscall.SIGKILL)
}

// awaitEnd waits for a child's end and leaves its status to be read (WNOWAIT, waitid(2)).
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
