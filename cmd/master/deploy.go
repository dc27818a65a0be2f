package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const tarballHelp = `TARBALL is a file, "-" for standard input, or sftp://[user@]host[:port]/path. It may be Sitekeep's or Aegir's, or hold a site's
directory with an SQL dump in it or, with --dump, beside it. It may be packed with gzip, bzip2, xz or zstd, or not at all.
An sftp:// host must be in ~/.ssh/known_hosts; one logs in with a key of the agent, or with --identity.

It is read to its end before anything is recorded. Refused are entries that leave its directory, devices, and a tarball
without a dump or settings, unless --files-only says so; set-id bits are dropped.`

type deployOptions struct {
	taskFlags
	tarballFlags
	site    sitekeepv1.Site
	oldName string
	grace   duration
	yes     bool
	dryRun  bool
	given   []string // flags that describe a new site
}

func newDeployCmd(a *app) *cobra.Command {
	o := &deployOptions{}
	cmd := &cobra.Command{
		Use:   "deploy TARBALL --site NAME [--web SERVER --root DIR ...]",
		Short: "Make a site out of a tarball that was made elsewhere",
		Long: `Make a site out of a tarball that was made elsewhere: a new one, where --web and --root say, or in place of one that is
under care. The tarball becomes a backup first. Whatever fails, a new site is gone again, and an old one is as it was, as
with "sitekeep restore".

` + tarballHelp + `

The site's name takes the place of its old one in settings and addresses: give that with --old-name if the tarball does
not say it. With --dry-run the tarball is read into the store, which needs its room there, and taken out again; nothing else
is changed. On a terminal it asks before it begins; elsewhere, or with --yes, it does not.`,
		Example: `  sitekeep deploy example.com-20261123.001336.tar.gz --site example.com --web web1 --db db1 --root /var/www/example.com
  sitekeep deploy site.tar.gz --site example.com --web web1 --db db1 --root /var/www/example.com --dry-run
  sitekeep deploy site.tar.bz2 --dump site.sql.xz --site new.example --old-name old.example --web web1 --db db1 --root /var/www/new.example
  sitekeep deploy sftp://backup@old.example:2222/srv/example.com.tar.zst --site example.com --identity ~/.ssh/id_ed25519
  ssh old.example tar -C /var/www/static -cz ./ | sitekeep deploy - --files-only --site static.example --web web1 --root /srv/static`,
		Args: arguments(1, 1),
	}
	siteFlags(cmd, &o.site)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { o.given = append(o.given, f.Name) })
	o.tarballFlags.add(cmd)
	cmd.Flags().StringVar(&o.oldName, "old-name", "", "what the site was called before: a `domain` (default: as the tarball says)")
	cmd.Flags().Var(&o.grace, "grace", "how long what was there before is kept for restore --undo: 24h, 7d; 0s: not at all (default 24h)")
	yesFlag(cmd, &o.yes)
	o.taskFlags.add(cmd, true)
	dryRunFlag(cmd, &o.dryRun)
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		var given []string
		for _, name := range o.given {
			if cmd.Flags().Changed(name) {
				given = append(given, "--"+name)
			}
		}
		o.given = given
		return o.check("sitekeep deploy", args[0])
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error { return a.deploy(ctx, c, o, args[0]) })
	return cmd
}

func newImportCmd(a *app) *cobra.Command {
	o := &tarballFlags{}
	kind := ""
	cmd := &cobra.Command{
		Use:   "import TARBALL --site NAME",
		Short: "Make a backup out of a tarball that was made elsewhere",
		Long: `Make a backup out of a tarball that was made elsewhere, and print its id. "sitekeep deploy" does that, too, and makes a site
of it.

` + tarballHelp,
		Example: `  sitekeep import example.com-20261123.001336.tar.gz --site example.com -m "the last one of the old server"
  sitekeep import sftp://backup@old.example/srv/example.com.tar --site example.com`,
		Args: arguments(1, 1),
	}
	o.add(cmd)
	cmd.Flags().StringVar(&kind, "kind", "", "drupal, wordpress, dotenv or generic (default: found out)")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error { return o.check("sitekeep import", args[0]) }
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		r, err := a.importTarball(ctx, c, args[0], kind, o)
		if err != nil {
			return err
		}
		if err := a.printText(r.GetBackup(), r.GetBackup().GetId()); err != nil {
			return err
		}
		return a.warnings("the tarball was imported", r.GetWarnings())
	})
	return cmd
}

func (a *app) deploy(ctx context.Context, c *client, o *deployOptions, name string) error {
	old, err := c.sites.GetSite(ctx, &sitekeepv1.GetSiteRequest{Name: o.tarballFlags.site})
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err := o.fits(old.GetSite()); err != nil {
		return err
	}
	if o.dryRun {
		return a.previewDeploy(ctx, c, o, name, old.GetSite())
	}
	if err := a.confirm(ctx, o.yes, o.explain(name, old.GetSite()), "Deploy it?"); err != nil {
		return err
	}
	kind := o.site.Kind
	if old != nil {
		kind = old.GetSite().GetKind()
	}
	imported, err := a.importTarball(ctx, c, name, kind, &o.tarballFlags)
	if err != nil {
		return err
	}
	backup := imported.GetBackup().GetId()
	fmt.Fprintf(a.err, "imported as backup %s\n", printable(backup))
	told := a.warnings("the site was deployed", imported.GetWarnings())
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.DeployBackupResponse, error) {
		return c.restores.DeployBackup(ctx, o.request(imported, old.GetSite()))
	})
	if err == nil {
		err = a.finish(ctx, c, task, o.detach)
	}
	if err != nil {
		fmt.Fprintf(a.err, "the imported backup is kept; if it is not needed: sitekeep delete %s\n", printable(backup))
		return err
	}
	return told
}

// previewDeploy reads the tarball into the store, which is how it is known what is in it, and takes it out again.
func (a *app) previewDeploy(ctx context.Context, c *client, o *deployOptions, name string, old *sitekeepv1.Site) error {
	kind := o.site.Kind
	if old != nil {
		kind = old.GetKind()
	}
	imported, err := a.importTarball(ctx, c, name, kind, &o.tarballFlags)
	if err != nil {
		return err
	}
	q := o.request(imported, old)
	q.DryRun = true
	r, planErr := c.restores.DeployBackup(ctx, q)
	_, err = c.backups.DeleteBackup(context.WithoutCancel(ctx), &sitekeepv1.DeleteBackupRequest{Id: q.GetBackup()})
	if err != nil {
		err = fmt.Errorf("the imported backup %s is left in the store: %w", printable(q.GetBackup()), err)
	}
	if err := errors.Join(planErr, err); err != nil {
		return err
	}
	plan := r.GetPlan()
	plan.Warnings = append(plan.GetWarnings(), imported.GetWarnings()...)
	return a.preview(plan)
}

// fits compares the flags with whether the site is there.
func (o *deployOptions) fits(old *sitekeepv1.Site) error {
	name := o.tarballFlags.site
	switch {
	case old != nil && len(o.given) > 0:
		return errs.New(errs.Usage, "leave them out to put the tarball in its place; to change the site: sitekeep site set "+name,
			"site %s is under care already: %s would mean nothing", name, strings.Join(o.given, ", "))
	case old == nil && (len(o.site.WebServers) == 0 || o.site.Root == ""):
		return usageError("sitekeep deploy", "site %s is new: say where it shall be, with --web SERVER and --root DIR", name)
	case old == nil && o.site.DbServer == "" && !o.filesOnly:
		return usageError("sitekeep deploy", "say where its database shall be, with --db SERVER, or give --files-only")
	}
	return nil
}

// explain says what will happen, for the question.
func (o *deployOptions) explain(tarball string, old *sitekeepv1.Site) string {
	name := printable(o.tarballFlags.site)
	if old == nil {
		return fmt.Sprintf("This makes the new site %s out of %s, in %s on %s.", name, printable(tarball),
			printable(o.site.Root), printable(strings.Join(o.site.WebServers, ", ")))
	}
	text := fmt.Sprintf("This puts what is in %s in place of the live site %s.\nA safety backup is taken first. ", printable(tarball), name)
	if o.grace.given && o.grace.value == 0 {
		return text + "The old site is removed at once and cannot be brought back with restore --undo."
	}
	return text + "The old site is kept for a time and can be brought back with: sitekeep restore --undo " + name
}

// request fills in what the tarball has told.
func (o *deployOptions) request(imported *sitekeepv1.ImportBackupResponse, old *sitekeepv1.Site) *sitekeepv1.DeployBackupRequest {
	q := &sitekeepv1.DeployBackupRequest{
		Backup: imported.GetBackup().GetId(), Site: &o.site, OldName: o.oldName, Queue: o.queue,
	}
	o.site.Name = o.tarballFlags.site
	if q.OldName == "" {
		q.OldName = imported.GetOldName()
	}
	if o.grace.given {
		q.Grace = durationpb.New(o.grace.value)
	}
	if old != nil {
		q.Site, q.FilesOnly = &sitekeepv1.Site{Name: o.site.Name}, o.filesOnly
		return q
	}
	if o.site.Kind == "" {
		o.site.Kind = imported.GetKind()
	}
	if o.site.Docroot == "" && imported.GetDocroot() != "" {
		o.site.Docroot = path.Join(o.site.Root, imported.GetDocroot())
	}
	return q
}
