package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newApplyCmd(a *app) *cobra.Command {
	q := &sitekeepv1.ApplyRequest{}
	var paths []string
	cmd := &cobra.Command{
		Use:   "apply -f FILE...",
		Short: "Make the catalogue say what files say",
		Long: `Make the catalogue say what files say: servers, clients, sites, schedules and retention as YAML documents, such as
"sitekeep export" writes. All of it takes effect, or nothing. What was applied already changes nothing.

A directory stands for the files *.yaml and *.yml in it, and - for standard input. Each change is printed field by field.
New sites, and such that lie elsewhere now, are looked at on their servers first. What a document leaves out has its
default; a site's kind and database are found out.

A server that has not joined yet is waiting, and so are its sites: the exit status is 6, and the command that makes its
token is printed. With --prune, clients, sites, schedules and retention that no file names are removed; servers, backups,
and what is on servers stay.`,
		Example: `  sitekeep apply -f inventory.yaml --dry-run
  sitekeep apply -f /etc/sitekeep/inventory --prune
  sitekeep export | sitekeep apply -f -`,
		Args: arguments(0, 0),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&paths, "filename", "f", nil, "`file`, directory, or - (repeat it)")
	flags.BoolVar(&q.DryRun, "dry-run", false, "only say what would change")
	flags.BoolVar(&q.Prune, "prune", false, "remove what no file names")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if len(paths) == 0 {
			return usageError("sitekeep apply", "say what to apply: -f FILE")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, _ []string) error {
		for _, path := range paths {
			files, err := a.inventoryFiles(path)
			if err != nil {
				return err
			}
			q.Files = append(q.Files, files...)
		}
		r, err := c.inventory.Apply(ctx, q)
		if err != nil {
			return err
		}
		return a.printApplied(r, q.DryRun)
	})
	return cmd
}

// inventoryFiles reads a file, the files of a directory, or standard input.
func (a *app) inventoryFiles(path string) ([]*sitekeepv1.InventoryFile, error) {
	if path == "-" {
		text, err := io.ReadAll(a.in)
		return []*sitekeepv1.InventoryFile{{Name: "standard input", Content: text}}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadableFile(err)
	}
	paths := []string{path}
	if info.IsDir() {
		if paths, err = documentsIn(path); err != nil {
			return nil, err
		}
	}
	var files []*sitekeepv1.InventoryFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, unreadableFile(err)
		}
		files = append(files, &sitekeepv1.InventoryFile{Name: path, Content: text})
	}
	return files, nil
}

func documentsIn(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadableFile(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(paths) == 0 { // with --prune it would remove everything
		return nil, errs.New(errs.NotFound, "name a directory with documents", "no file *.yaml or *.yml is in %s", dir)
	}
	return paths, nil
}

func unreadableFile(err error) error {
	if os.IsNotExist(err) {
		return errs.New(errs.NotFound, "check -f", "%w", err)
	}
	if os.IsPermission(err) {
		return errs.New(errs.Permission, "", "%w", err)
	}
	return fmt.Errorf("read documents: %w", err)
}

// printApplied prints what changes, and ends with 6 if an operator has to do something.
func (a *app) printApplied(r *sitekeepv1.ApplyResponse, dry bool) error {
	if a.output.json {
		if err := writeJSON(a.out, r); err != nil {
			return err
		}
	} else if err := a.printChanges(r.GetChanges(), dry); err != nil {
		return err
	}
	for _, t := range r.GetTasks() {
		fmt.Fprintf(a.err, "task %s: %s of %s; follow it with: sitekeep task log -f %s\n", t.GetId(), printable(t.GetKind()), printable(t.GetSite()), t.GetId())
	}
	notes := slices.Clone(r.GetWarnings())
	for _, c := range r.GetChanges() {
		if c.GetNote() != "" {
			notes = append(notes, fmt.Sprintf("%s %s is waiting: %s", strings.ToLower(c.GetKind()), c.GetName(), c.GetNote()))
		}
	}
	return a.warnings("done", notes)
}

func (a *app) printChanges(changes []*sitekeepv1.InventoryChange, dry bool) error {
	count := map[string]int{}
	var text strings.Builder
	for _, c := range changes {
		count[c.GetAction()]++
		if c.GetAction() == "unchanged" {
			continue
		}
		fmt.Fprintf(&text, "%s %s/%s %s\n", sign(c.GetAction()), strings.ToLower(c.GetKind()), printable(c.GetName()), c.GetAction())
		for _, f := range c.GetFields() {
			if f.GetBefore() != "" {
				fmt.Fprintf(&text, "    - %s: %s\n", f.GetPath(), printable(f.GetBefore()))
			}
			if f.GetAfter() != "" {
				fmt.Fprintf(&text, "    + %s: %s\n", f.GetPath(), printable(f.GetAfter()))
			}
		}
	}
	verb := ""
	if dry {
		verb = " (dry run: nothing was changed)"
	}
	fmt.Fprintf(&text, "%d added, %d changed, %d removed, %d unchanged, %d waiting%s\n",
		count["added"], count["changed"], count["removed"], count["unchanged"], count["waiting"], verb)
	_, err := io.WriteString(a.out, text.String())
	return err
}

func sign(action string) string {
	switch action {
	case "added":
		return "+"
	case "removed":
		return "-"
	case "waiting":
		return "?"
	}
	return "~"
}

func newExportCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Write the catalogue as files for apply",
		Long: `Write servers, clients, sites, schedules and retention as YAML documents to standard output, for version control and for
"sitekeep apply". Two exports of the same state are equal byte for byte. There is no secret in them.

The database of a site that keeps settings is left out: they name it, and a restore changes it.`,
		Example: "  sitekeep export > inventory.yaml",
		Args:    arguments(0, 0),
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.inventory.Export(ctx, &sitekeepv1.ExportRequest{})
			if err != nil {
				return err
			}
			if a.output.json {
				return writeJSON(a.out, r)
			}
			_, err = a.out.Write(r.GetContent())
			return err
		}),
	}
}
