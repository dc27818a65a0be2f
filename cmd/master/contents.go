package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newLsCmd(a *app) *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:   "ls BACKUP [PATH]",
		Short: "List what is in a backup",
		Long: `List what lies below a path of a backup, as "ls -l" does. Characters of names that a terminal would obey are shown as
escapes.` + latestHelp,
		Example: `  sitekeep ls example.com-20261123.001336
  sitekeep ls -R example.com-latest wp-content/uploads`,
		Args:              arguments(1, 2),
		ValidArgsFunction: a.complete(backupIDs),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "everything below the path, not only what is directly in it")
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		id, err := resolveID(ctx, c, args[0])
		if err != nil {
			return err
		}
		request := &sitekeepv1.ListEntriesRequest{Id: id, Recursive: recursive}
		if len(args) > 1 {
			request.Path = insidePath(args[1])
		}
		return a.listEntries(ctx, c, request)
	})
	return cmd
}

// insidePath turns what an operator writes (./a, /a, a/) into a path inside a backup.
func insidePath(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (a *app) listEntries(ctx context.Context, c *client, request *sitekeepv1.ListEntriesRequest) error {
	stream, err := c.backups.ListEntries(ctx, request)
	if err != nil {
		return err
	}
	out := newRowsTo(a.out, a, entryCells)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out.close()
		}
		if err != nil {
			return err
		}
		if err := out.addAll(part.GetEntries()); err != nil {
			return err
		}
	}
}

// entryCells is one cell, so that the columns of a long list, which is printed as it comes, stay in their places.
func entryCells(e *sitekeepv1.Entry) []string {
	name := e.GetPath()
	if raw := e.GetRawPath(); len(raw) > 0 {
		name = string(raw)
	}
	if e.GetLinkTarget() != "" {
		name += " -> " + e.GetLinkTarget()
	}
	return []string{fmt.Sprintf("%s %-8s %-8s %12d %s %s", modeText(e), ownerText(e.GetOwner(), e.GetUid()),
		ownerText(e.GetGroup(), e.GetGid()), e.GetSize(), localTime(e.GetModifiedAt()), name)}
}

func ownerText(name string, id uint32) string {
	if name == "" {
		return fmt.Sprint(id)
	}
	return name
}

// modeText is the first column of "ls -l" (POSIX, ls, "Long Format").
func modeText(e *sitekeepv1.Entry) string {
	const setuid, setgid, sticky = 0o4000, 0o2000, 0o1000
	mode := e.GetMode()
	text := []byte("-rwxrwxrwx")
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			text[1+i] = '-'
		}
	}
	special(text, 3, mode&setuid != 0, 's')
	special(text, 6, mode&setgid != 0, 's')
	special(text, 9, mode&sticky != 0, 't')
	switch e.GetType() {
	case "dir":
		text[0] = 'd'
	case "symlink":
		text[0] = 'l'
	case "hardlink":
		text[0] = 'h'
	}
	return string(text)
}

// special marks a bit that shares its place with an execute bit: in lower case if both are set.
func special(text []byte, at int, set bool, mark byte) {
	switch {
	case set && text[at] == '-':
		text[at] = mark - 'a' + 'A'
	case set:
		text[at] = mark
	}
}

func newCatCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cat BACKUP PATH",
		Short: "Print a file out of a backup",
		Long: `Write the bytes of one file of a backup to standard output. A hard link gives the file that it leads to.
database.sql is the dump.` + latestHelp,
		Example: `  sitekeep cat example.com-20261123.001336 wp-config.php
  sitekeep cat example.com-latest database.sql | less`,
		Args:              arguments(2, 2),
		ValidArgsFunction: a.complete(backupIDs),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			id, err := resolveID(ctx, c, args[0])
			if err != nil {
				return err
			}
			return a.cat(ctx, c, id, insidePath(args[1]))
		}),
	}
}

func (a *app) cat(ctx context.Context, c *client, id, name string) error {
	stream, err := c.backups.ReadEntry(ctx, &sitekeepv1.ReadEntryRequest{Id: id, Path: name})
	if err != nil {
		return err
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := a.out.Write(part.GetData()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
}
