package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
	"google.golang.org/protobuf/proto"
)

// isTerminal reports whether a reader or writer is a terminal.
func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// rows prints a list: a table with a heading on terminals, without one elsewhere, or a JSON array. The parts of a long
// list are flushed as they come.
type rows[T proto.Message] struct {
	array *jsonArray // nil for a table
	table *tabwriter.Writer
	cells func(T) []string
}

func newRows[T proto.Message](a *app, heading string, cells func(T) []string) *rows[T] {
	r := newRowsTo(a.out, a, cells)
	if isTerminal(a.out) && !a.output.json {
		fmt.Fprintln(r.table, strings.ReplaceAll(heading, "|", "\t"))
	}
	return r
}

// newRowsTo prints to w, without a heading.
func newRowsTo[T proto.Message](w io.Writer, a *app, cells func(T) []string) *rows[T] {
	if a.output.json {
		return &rows[T]{array: &jsonArray{w: w}}
	}
	return &rows[T]{table: newTable(w), cells: cells}
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

func (r *rows[T]) add(item T) error {
	if r.array != nil {
		return r.array.add(item)
	}
	cells := r.cells(item)
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	_, err := fmt.Fprintln(r.table, strings.Join(cells, "\t"))
	return err
}

func (r *rows[T]) addAll(items []T) error {
	for _, item := range items {
		if err := r.add(item); err != nil {
			return err
		}
	}
	return r.flush()
}

// flush lets what was added be seen.
func (r *rows[T]) flush() error {
	if r.array != nil {
		return nil
	}
	return r.table.Flush()
}

func (r *rows[T]) close() error {
	if r.array != nil {
		return r.array.close()
	}
	return r.table.Flush()
}

// printList prints a list that is there as a whole.
func printList[T proto.Message](a *app, items []T, heading string, cells func(T) []string) error {
	list := newRows(a, heading, cells)
	if err := list.addAll(items); err != nil {
		return err
	}
	return list.close()
}

// facts are names and values, one a line; a value that is empty is left out.
type facts [][2]string

func (a *app) printFacts(m proto.Message, f facts) error {
	if a.output.json {
		return writeJSON(a.out, m)
	}
	table := newTable(a.out)
	for _, fact := range f {
		if fact[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", fact[0], printable(fact[1]))
		}
	}
	return table.Flush()
}

// printText prints text alone on its line, or the message.
func (a *app) printText(m proto.Message, text string) error {
	if a.output.json {
		return writeJSON(a.out, m)
	}
	_, err := fmt.Fprintln(a.out, printable(text))
	return err
}
