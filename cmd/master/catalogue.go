package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/master"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newCatalogueCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "catalogue", Short: "The list of backups in a data directory",
		Example: "  sitekeep catalogue rebuild --data-dir /var/lib/sitekeep",
	})
	cmd.AddCommand(newRebuildCmd(a))
	return cmd
}

func newRebuildCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild",
		Short: "List the backups of the store that the catalogue lacks",
		Long: `List the backups of the store that the catalogue lacks, out of the store alone: from the manifest beside each tarball, or
where that is missing, from the one in it. What is listed stays as it is, and nothing is removed. It works in the data
directory of a master that is stopped, and prints what it has added.

Pins are those from when a backup was made. Servers, sites, clients and API tokens are not in the store: sites that have
backups and are not in the inventory are named.`,
		Example: `  systemctl stop sitekeep && sitekeep catalogue rebuild && systemctl start sitekeep`,
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.rebuild(cmd) },
	}
}

func (a *app) rebuild(cmd *cobra.Command) error {
	if a.address != "" {
		return errs.New(errs.Usage, "run it on the master's own machine, with --data-dir", "a catalogue is rebuilt in its data directory")
	}
	out := newRows(a, "BACKUP|CREATED|SIZE|NEW|DESCRIPTION", backupCells)
	var printing error
	found, err := master.Rebuild(cmd.Context(), a.dataDir, func(b model.Backup) {
		if printing == nil {
			printing = out.add(listedBackup(&b))
		}
	})
	if err == nil {
		err = printing
	}
	if err != nil {
		return err
	}
	if err := out.close(); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "%s added, %d listed before\n", plural(int64(found.Added), "backup"), found.Known)
	warnings := found.Warnings
	for _, site := range found.Unknown {
		warnings = append(warnings, fmt.Sprintf("the site %s is not in the inventory; its backups can be read now; to restore it: sitekeep site add %s --web SERVER --db SERVER --root DIR", site, site))
	}
	return a.warnings("rebuilt", warnings)
}

// listedBackup is a backup as the API gives it.
func listedBackup(b *model.Backup) *sitekeepv1.Backup {
	return &sitekeepv1.Backup{
		Id: b.ID, Site: b.Site, CreatedAt: timestamppb.New(b.CreatedAt), Description: b.Description, Format: b.Format, Size: b.Size,
		NewBytes: b.NewBytes, Files: b.Files, Digest: b.Digest, Pinned: b.Pinned, PinReason: b.PinReason, Warnings: b.Warnings,
		PlainSize: b.PlainSize, Tables: b.Tables, Rows: b.Rows, Origin: string(b.Origin), Task: b.TaskID,
	}
}
