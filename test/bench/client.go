package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// credentials is a file for --defaults-extra-file that is read once.
func (w *world) credentials(cmd *exec.Cmd) (func(), error) {
	r, wr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(wr, "[client]\nuser=root\npassword=%s\nhost=%s\nport=%d\nprotocol=tcp\n",
		w.db.Password, w.db.Addr.Addr(), w.db.Addr.Port())
	if err := errors.Join(err, wr.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	cmd.ExtraFiles = []*os.File{r}
	return func() { _ = r.Close() }, nil
}

// dump prepares mariadb-dump over TCP with Aegir's options.
func (w *world) dump(ctx context.Context) (*exec.Cmd, func(), error) {
	database, err := w.database()
	if err != nil {
		return nil, nil, err
	}
	cmd := tool(ctx, nil, "mariadb-dump", "--defaults-extra-file=/dev/fd/3", "--single-transaction", "--quick",
		"--no-autocommit", database)
	end, err := w.credentials(cmd)
	return cmd, end, err
}

func (w *world) dumpTo(ctx context.Context, m *meter, path string) error {
	cmd, end, err := w.dump(ctx)
	if err != nil {
		return err
	}
	defer end()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	cmd.Stdout = f
	return errors.Join(m.run(cmd), f.Close())
}

func (w *world) importFrom(ctx context.Context, m *meter, database, path string) error {
	cmd := tool(ctx, nil, "mariadb", "--defaults-extra-file=/dev/fd/3", database)
	end, err := w.credentials(cmd)
	if err != nil {
		return err
	}
	defer end()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	cmd.Stdin = f
	return m.run(cmd)
}
