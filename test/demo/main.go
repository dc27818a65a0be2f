// Command demo shows what Sitekeep does, on real parts: a WordPress on nginx,
// php-fpm and MariaDB, a master and two agents, each on an address of its own.
// It backs the site up, wrecks it, restores it, and proves that it is the same
// again. With KEEP=1 it leaves everything running until it is interrupted.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// run keeps the log of the parts to itself unless something fails.
func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sitekeep-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)                      //nolint:errcheck // best effort
	if err := os.Chmod(dir, 0o755); err != nil { // the servers run as nobody
		return err
	}
	var log bytes.Buffer
	d := &demo{out: out, dir: dir}
	err = d.play(ctx, &log)
	if err != nil {
		err = fmt.Errorf("%w\n\nwhat the parts said:\n%s", err, tail(log.Bytes()))
	}
	return err
}

const tailBytes = 8 << 10

func tail(log []byte) []byte {
	return log[max(0, len(log)-tailBytes):]
}
