package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// confirm asks before something that cannot easily be taken back. It asks people only: with yes, or when standard
// input or standard error is not a terminal, the answer is yes.
func (a *app) confirm(ctx context.Context, yes bool, explanation, question string) error {
	return a.ask(ctx, yes, explanation+"\n"+question+" [y/N] ", "answer y, or give --yes", func(answer string) bool {
		answer = strings.ToLower(answer)
		return answer == "y" || answer == "yes"
	})
}

// confirmName is confirm for what is to be named once more.
func (a *app) confirmName(ctx context.Context, yes bool, explanation, name string) error {
	return a.ask(ctx, yes, fmt.Sprintf("%s\nType its name to remove it: ", explanation), "type "+name+", or give --yes",
		func(answer string) bool { return answer == name })
}

func (a *app) ask(ctx context.Context, yes bool, prompt, hint string, agrees func(answer string) bool) error {
	in, ok := a.in.(*os.File)
	if yes || !ok || !isTerminal(in) || !isTerminal(a.err) {
		return nil
	}
	fmt.Fprint(a.err, prompt)
	answer, err := readLine(ctx, in)
	if err != nil {
		fmt.Fprintln(a.err)
		return err
	}
	if agrees(strings.TrimSpace(answer)) {
		return nil
	}
	return errs.New(errs.Cancelled, hint, "nothing was done")
}

// readLine reads from a terminal, which gives whole lines, until ctx ends.
func readLine(ctx context.Context, in *os.File) (string, error) {
	const pollMillis = 100
	for {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, pollMillis)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		if n > 0 {
			break
		}
	}
	line := make([]byte, 256)
	n, err := in.Read(line)
	if n == 0 && err != nil { // Ctrl-D
		return "", errs.New(errs.Cancelled, "answer y, or give --yes", "nothing was done")
	}
	return string(line[:n]), nil
}
