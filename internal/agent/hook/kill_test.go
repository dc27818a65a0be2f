package hook_test

import (
	"strconv"
	"syscall"
)

// kill ends a process that a test has left alive.
func kill(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	return syscall.Kill(n, syscall.SIGKILL)
}
