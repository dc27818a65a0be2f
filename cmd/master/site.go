package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

func newSiteCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "site",
		Short: "Sites: what is backed up",
		Example: `  sitekeep site add example.com --web web1 --db db1 --root /var/www/example.com
  sitekeep site list`,
	})
	cmd.AddCommand(newSiteAddCmd(a), newSiteListCmd(a), newSiteShowCmd(a), newSiteVerifyCmd(a), newSiteRemoveCmd(a),
		newSiteSetCmd(a), newSiteEnableCmd(a), newSiteDisableCmd(a), newSiteDiscoverCmd(a))
	return cmd
}

func newSiteAddCmd(a *app) *cobra.Command {
	site := &sitekeepv1.Site{}
	cmd := &cobra.Command{
		Use:   "add NAME --web SERVER[,SERVER] --root DIR",
		Short: "Put a site under care",
		Long: `Put a site under care. It is looked at on its servers, and nothing is changed there: with a managed vhost, run
"sitekeep site verify" afterwards. What is not given is found out where it can be.

Ends with 6 if there is something that you should know.`,
		Example: `  sitekeep site add example.com --web web1 --db db1 --root /var/www/example.com --alias www.example.com
  sitekeep site add static.example --web web1,web2 --root /srv/static --kind generic --vhost external`,
		Args: arguments(1, 1),
	}
	siteFlags(cmd, site)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if len(site.WebServers) == 0 || site.Root == "" {
			return usageError("sitekeep site add", "say where %s is: --web SERVER and --root DIR", args[0])
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		site.Name = args[0]
		r, err := c.sites.CreateSite(ctx, &sitekeepv1.CreateSiteRequest{Site: site})
		if err != nil {
			return err
		}
		if err := a.printText(r.GetSite(), r.GetSite().GetName()); err != nil {
			return err
		}
		return a.warnings("site "+args[0]+" was added", r.GetWarnings())
	})
	return cmd
}

func siteFlags(cmd *cobra.Command, site *sitekeepv1.Site) {
	flags := cmd.Flags()
	flags.StringSliceVar(&site.WebServers, "web", nil, "web `servers`, by commas; backups read the first one")
	flags.StringVar(&site.DbServer, "db", "", "database `server`; none for a site without a database")
	flags.StringVar(&site.Root, "root", "", "absolute `directory` of the site on its web servers")
	flags.StringVar(&site.Docroot, "docroot", "", "absolute `directory` that is served (default: the root)")
	flags.StringVar(&site.Kind, "kind", "", "how it keeps its settings: drupal, wordpress, dotenv (Laravel, Symfony) or generic (default: found out)")
	flags.StringVar(&site.Database, "database", "", "`name` of the database (default: from the site's settings)")
	flags.StringArrayVar(&site.Aliases, "alias", nil, "another `domain` of the site (repeat it)")
	flags.StringVar(&site.Client, "client", "", "the `customer` that owns the site")
	flags.StringArrayVar(&site.Excludes, "exclude", nil, "`glob` of paths that backups leave out (repeat it)")
	flags.BoolVar(&site.ExcludeCaches, "exclude-caches", false, "backups leave out what is in directories that CACHEDIR.TAG marks")
	flags.StringArrayVar(&site.StructureOnly, "structure-only", nil,
		"`pattern` of tables that backups take without their rows, beside Drupal's caches: sessions, watchdog, ... (repeat it)")
	flags.BoolVar(&site.AllRows, "no-structure-only", false, "backups take the rows of all tables, those of caches too")
	cmd.MarkFlagsMutuallyExclusive("structure-only", "no-structure-only")
	flags.BoolVar(&site.BlankCredentials, "blank-credentials", false, "backups have the settings file with an empty password of the database")
	flags.StringVar(&site.Vhost, "vhost", "", "managed or external (default: managed)")
	flags.StringVar(&site.Maintenance, "maintenance", "",
		"what keeps visitors out behind an external vhost: include, kind or auto (default: auto, the kind's own switch without the include)")
}

// warnings prints what is to be known of something that is done; then the command ends with the status for that.
func (a *app) warnings(done string, texts []string) error {
	for _, text := range texts {
		fmt.Fprintln(a.err, "warning: "+printable(text))
	}
	if len(texts) == 0 {
		return nil
	}
	return &warned{text: done + ", with " + plural(int64(len(texts)), "warning")}
}

func newSiteListCmd(a *app) *cobra.Command {
	var owner string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List sites", Args: arguments(0, 0),
		Example: "  sitekeep site list\n  sitekeep site list --client acme -o json",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.sites.ListSites(ctx, &sitekeepv1.ListSitesRequest{Client: owner})
			if err != nil {
				return err
			}
			return printList(a, r.GetSites(), "NAME|KIND|WEB|DB|LAST BACKUP|BACKUPS|SIZE|CLIENT|STATE", func(s *sitekeepv1.Site) []string {
				return []string{s.GetName(), s.GetKind(), strings.Join(s.GetWebServers(), ","), orDash(s.GetDbServer()),
					localTime(s.GetLastBackupAt()), fmt.Sprint(s.GetBackups()), bytesize.Text(s.GetBackupBytes()), orDash(s.GetClient()), accessText(s)}
			})
		}),
	}
	cmd.Flags().StringVar(&owner, "client", "", "only this `customer`'s")
	return cmd
}

func newSiteShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a site", Args: arguments(1, 1),
		Example:           "  sitekeep site show example.com",
		ValidArgsFunction: a.complete(siteNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.sites.GetSite(ctx, &sitekeepv1.GetSiteRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.printFacts(r.GetSite(), siteFacts(r.GetSite()))
		}),
	}
}

func siteFacts(s *sitekeepv1.Site) facts {
	return facts{
		{"name", s.GetName()}, {"aliases", strings.Join(s.GetAliases(), ", ")}, {"kind", s.GetKind()},
		{"client", s.GetClient()}, {"web servers", strings.Join(s.GetWebServers(), ", ")},
		{"root", s.GetRoot()}, {"docroot", s.GetDocroot()}, {"vhost", s.GetVhost()}, {"maintenance", s.GetMaintenance()},
		{"database server", s.GetDbServer()}, {"database", s.GetDatabase()}, {"database user", s.GetDatabaseUser()},
		{"database host", s.GetDatabaseHost()}, {"excludes", strings.Join(s.GetExcludes(), ", ")}, {"caches left out", yesNo(s.GetExcludeCaches())},
		{"tables without rows", rowsText(s)}, {"password blanked in backups", yesNo(s.GetBlankCredentials())},
		{"disabled", yesNo(s.GetDisabled())}, {"added", localTime(s.GetCreatedAt())},
		{"last backup", orDash(s.GetLastBackup())}, {"last backup at", localTime(s.GetLastBackupAt())}, {"last drill", drillText(s.GetLastDrill())},
		{"backups", fmt.Sprintf("%d (%s)", s.GetBackups(), bytesize.Text(s.GetBackupBytes()))},
	}
}

// accessText says whether visitors get the site.
func accessText(s *sitekeepv1.Site) string {
	if s.GetDisabled() {
		return "disabled"
	}
	return "enabled"
}

// rowsText says which tables backups take without their rows.
func rowsText(s *sitekeepv1.Site) string {
	if s.GetAllRows() {
		return "none"
	}
	return strings.Join(append(slices.Clone(s.GetStructureOnly()), "caches that the kind knows"), ", ")
}

func newSiteVerifyCmd(a *app) *cobra.Command {
	var how taskFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "verify NAME",
		Short: "Write a site's vhost, mend its permissions, and see that it answers",
		Long: `Write the vhost of a site if it is managed, mend permissions, test and reload the web server, and see that the page
and the database answer and let the site do what it has to.

With --dry-run it is said what differs (modes, owners, the vhost, privileges), and nothing is changed. Ends with 6 if
something does.`,
		Example:           "  sitekeep site verify example.com\n  sitekeep site verify example.com --dry-run",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(siteNames),
	}
	how.add(cmd, true)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be mended, and change nothing")
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.VerifySiteResponse, error) {
			return c.sites.VerifySite(ctx, &sitekeepv1.VerifySiteRequest{Name: args[0], Queue: how.queue, DryRun: dryRun})
		})
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, how.detach)
	})
	return cmd
}
