// Command sitekeep is the master: `sitekeep serve` is the daemon, every other
// command is an operator's. The operator's commands know the master's public
// API and nothing behind it: not its catalogue, its store or its agents.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	reportError(os.Stderr, err)
	os.Exit(exitStatus(err))
}
