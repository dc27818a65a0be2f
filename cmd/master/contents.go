package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newLsCmd(a *app) *cobra.Command {
	var recursive, tables bool
	cmd := &cobra.Command{
		Use:   "ls BACKUP [PATH] | --tables BACKUP",
		Short: "List what is in a backup",
		Long: `List what lies below a path of a backup, as "ls -lb" does: characters of names that are not graphic, bytes that are no
UTF-8, blanks and backslashes are shown as escapes. A shell's $'...' makes such a name again.

With --tables list the tables, views and sequences of the database: kind, rows, bytes of SQL, bytes in the tarball.` + latestHelp,
		Example: `  sitekeep ls example.com-20261123.001336
  sitekeep ls -R example.com-latest wp-content/uploads
  sitekeep ls --tables example.com-latest`,
		Args:              arguments(1, 2),
		ValidArgsFunction: a.complete(backupIDs),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "everything below the path, not only what is directly in it")
	cmd.Flags().BoolVar(&tables, "tables", false, "the tables of the database in place of files")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if tables && (recursive || len(args) > 1) {
			return usageError("sitekeep ls", "--tables takes a backup, and neither a path nor -R")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		id, err := resolveID(ctx, c, args[0])
		if err != nil {
			return err
		}
		if tables {
			return a.listTables(ctx, c, id)
		}
		request := &sitekeepv1.ListEntriesRequest{Id: id, Recursive: recursive}
		if len(args) > 1 {
			request.Path, request.RawPath = wirePath(insidePath(args[1]))
		}
		return a.listEntries(ctx, c, request)
	})
	return cmd
}

// insidePath turns what an operator writes (./a, /a, a/) into a path inside a backup.
func insidePath(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// wirePath gives a path as a request has it: as text, or as bytes if it is not UTF-8.
func wirePath(name string) (text string, raw []byte) {
	if utf8.ValidString(name) {
		return name, nil
	}
	return "", []byte(name)
}

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
	name := entryName(e)
	if e.GetLinkTarget() != "" {
		name += " -> " + escaped(e.GetLinkTarget())
	}
	return []string{fmt.Sprintf("%s %-8s %-8s %12d %s %s", modeText(e), ownerText(e.GetOwner(), e.GetUid()),
		ownerText(e.GetGroup(), e.GetGid()), e.GetSize(), localTime(e.GetModifiedAt()), name)}
}

// entryName is an entry's path, with escapes.
func entryName(e *sitekeepv1.Entry) string {
	if raw := e.GetRawPath(); len(raw) > 0 {
		return escaped(string(raw))
	}
	return escaped(e.GetPath())
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
	var tables []string
	cmd := &cobra.Command{
		Use:   "cat BACKUP PATH | BACKUP --table T...",
		Short: "Print a file out of a backup",
		Long: `Write the bytes of one file of a backup to standard output. A hard link gives the file that it leads to.
database.sql is the dump.

With --table write the SQL of these tables alone, so that a client of the database can import it.` + latestHelp,
		Example: `  sitekeep cat example.com-20261123.001336 wp-config.php
  sitekeep cat example.com-latest database.sql | less
  sitekeep cat example.com-latest --table wp_posts --table 'wp_term*' | mariadb scratch`,
		Args:              arguments(1, 2),
		ValidArgsFunction: a.complete(backupIDs),
	}
	cmd.Flags().StringArrayVar(&tables, "table", nil, "`name` or glob of a table; may be given several times")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if (len(args) == 2) == (len(tables) > 0) {
			return usageError("sitekeep cat", "give either a path or --table")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		id, err := resolveID(ctx, c, args[0])
		if err != nil {
			return err
		}
		if len(tables) > 0 {
			return a.catTables(ctx, c, id, tables)
		}
		return a.cat(ctx, c, id, insidePath(args[1]))
	})
	return cmd
}

func (a *app) cat(ctx context.Context, c *client, id, name string) error {
	request := &sitekeepv1.ReadEntryRequest{Id: id}
	request.Path, request.RawPath = wirePath(name)
	stream, err := c.backups.ReadEntry(ctx, request)
	if err != nil {
		return err
	}
	return copyPieces(a.out, id, escaped(name), stream.Recv)
}

func (a *app) catTables(ctx context.Context, c *client, id string, tables []string) error {
	stream, err := c.backups.ReadTables(ctx, &sitekeepv1.ReadTablesRequest{Id: id, Tables: tables})
	if err != nil {
		return err
	}
	return copyPieces(a.out, id, strings.Join(tables, ", "), stream.Recv)
}

// piece is a message of a stream that ends with the hash of what it has brought.
type piece interface {
	GetData() []byte
	GetSha256() string
}

// copyPieces writes what comes, and checks it at the end: a stream that was cut off is an error.
func copyPieces[P piece](w io.Writer, id, what string, recv func() (P, error)) error {
	sum, ended := sha256.New(), ""
	for {
		part, err := recv()
		switch {
		case errors.Is(err, io.EOF):
			return checkPieces(id, what, ended, hex.EncodeToString(sum.Sum(nil)))
		case err != nil:
			return err
		case ended != "":
			return errs.New(errs.Corrupt, "read it again", "what arrived of %s goes on after its end", what)
		}
		ended = part.GetSha256()
		sum.Write(part.GetData())
		if _, err := w.Write(part.GetData()); err != nil {
			return fmt.Errorf("write %s: %w", what, err)
		}
	}
}

func checkPieces(id, what, said, got string) error {
	switch said {
	case got:
		return nil
	case "":
		return errs.New(errs.Unreachable, "read it again", "%s was cut off", what)
	}
	return errs.New(errs.Corrupt, "read it again; if that does not help: sitekeep check "+id, "what arrived of %s has not the hash that the master gives", what)
}

func (a *app) listTables(ctx context.Context, c *client, id string) error {
	stream, err := c.backups.ListTables(ctx, &sitekeepv1.ListTablesRequest{Id: id})
	if err != nil {
		return err
	}
	out := newRows(a, "TABLE|KIND|ROWS|SQL|PACKED", tableCells)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out.close()
		}
		if err != nil {
			return err
		}
		for _, t := range part.GetTables() {
			if err := out.add(t); err != nil {
				return err
			}
		}
	}
}

// rowsCell is a table's number of rows, or that they are not in the backup on purpose.
func rowsCell(t *sitekeepv1.Table) string {
	if t.GetStructureOnly() {
		return "left out"
	}
	return fmt.Sprint(t.GetRows())
}

func tableCells(t *sitekeepv1.Table) []string {
	return []string{escaped(t.GetName()), t.GetKind(), rowsCell(t), bytesize.Text(t.GetBytes()), bytesize.Text(t.GetPackedBytes())}
}
