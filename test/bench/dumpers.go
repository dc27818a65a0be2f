package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// mydumper runs one of mydumper's two programs on the world's database
// server; it takes no password from a file.
func (w *world) mydumper(ctx context.Context, m *meter, program, dir, database string, threads int, more ...string) error {
	argv := append([]string{
		program, "--host=" + w.db.Addr.Addr().String(), fmt.Sprintf("--port=%d", w.db.Addr.Port()), "--user=root", "--password=" + w.db.Password,
		"--database=" + database, fmt.Sprintf("--threads=%d", threads), "--verbose=1",
	}, more...)
	cmd := tool(ctx, nil, argv...)
	cmd.Dir = dir
	return m.run(cmd)
}

// wholeDump looks whether a file of SQL has mysqldump's end mark, and notes its
// size.
func wholeDump(m *meter, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := make([]byte, min(info.Size(), 200))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return err
	}
	if !bytes.Contains(end, []byte("-- Dump completed")) {
		return fmt.Errorf("%s does not end with the end mark: %q", path, end)
	}
	m.note(archiveMB, megabytes(info.Size()))
	return nil
}

// treeBytes is the size of all files below a directory.
func treeBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	return total, err
}

// tooSmall is an error when there is less than there should be.
func tooSmall(path string, size, least int64) error {
	if size < least {
		return fmt.Errorf("%s has only %d bytes", path, size)
	}
	return nil
}

// dumpSeconds is how long our dump takes, framed and compressed as for a backup.
func (w *world) dumpSeconds(ctx context.Context) (float64, error) {
	database, err := w.database()
	if err != nil {
		return 0, err
	}
	s := side{work: func(ctx context.Context, m *meter) error {
		return w.runDriver(ctx, m, driveDumpZstd, database, os.DevNull)
	}}
	took, err := s.run(ctx)
	return took[wall], err
}

// copies makes a database with each of the site's tables so many times.
func (w *world) copies(ctx context.Context, name string, times int) error {
	database, err := w.database()
	if err != nil {
		return err
	}
	if err := w.db.Exec(ctx, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		return err
	}
	for n := range times {
		for _, t := range corpusTables() {
			err = errors.Join(err, w.db.Exec(ctx,
				fmt.Sprintf("CREATE TABLE %s.%s_%d LIKE %s.%[2]s", name, t.name, n, database),
				fmt.Sprintf("INSERT INTO %s.%s_%d SELECT * FROM %s.%[2]s", name, t.name, n, database)))
		}
	}
	return err
}
