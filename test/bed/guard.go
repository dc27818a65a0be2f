package bed

import (
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// guardScript reads "+GROUP" and "-GROUP" lines and kills the groups that are
// left when its input ends.
const guardScript = `
groups=" "
while read -r line; do
  case $line in
    +*) groups="$groups${line#+} " ;;
    -*) groups="${groups%%" ${line#-} "*} ${groups#*" ${line#-} "}" ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
`

// guard is a small child that outlives this process for an instant: when this
// process ends in any way, a SIGKILL or a test's timeout included, it kills
// the process groups that are still there.
type guard struct {
	mu   sync.Mutex
	pipe io.WriteCloser
	cmd  *exec.Cmd
}

func startGuard() (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	// Of its own group, so that an interrupt at the terminal does not end it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return &guard{pipe: pipe, cmd: cmd}, nil
}

func (g *guard) watch(group int) error  { return g.tell('+', group) }
func (g *guard) forget(group int) error { return g.tell('-', group) }

func (g *guard) tell(sign byte, group int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := fmt.Fprintf(g.pipe, "%c%d\n", sign, group); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

// close lets the guard kill what was not forgotten, and waits for it. It may
// be called twice.
func (g *guard) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil {
		return nil
	}
	cmd := g.cmd
	g.cmd = nil
	if err := g.pipe.Close(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	// Its status is that of the last kill: a group that is gone is no fault.
	_ = cmd.Wait()
	return nil
}
