package main

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// siteFields are the API's names of what siteFlags sets.
func siteFields() map[string]string {
	return map[string]string{
		"web": "web_servers", "db": "db_server", "root": "root", "docroot": "docroot", "kind": "kind", "database": "database",
		"alias": "aliases", "client": "client", "exclude": "excludes", "exclude-caches": "exclude_caches",
		"structure-only": "structure_only", "no-structure-only": "all_rows", "blank-credentials": "blank_credentials", "vhost": "vhost",
		"maintenance": "maintenance",
	}
}

func newSiteSetCmd(a *app) *cobra.Command {
	site := &sitekeepv1.Site{}
	cmd := &cobra.Command{
		Use:   "set NAME ...",
		Short: "Change what is recorded of a site",
		Long: `Change what is recorded of a site, and nothing on its servers. Only what is given changes; a list that is given takes the
place of the old one, and an empty value empties it: --alias "".

Where the files or the database are is looked at first, and refused if they are not there, if the site's settings name
another database, or while a task holds the site. With a managed vhost run "sitekeep site verify" afterwards.`,
		Example: `  sitekeep site set example.com --alias www.example.com --alias shop.example.com
  sitekeep site set example.com --exclude 'cache/*' --client acme
  sitekeep site set example.com --structure-only sessions --structure-only watchdog
  sitekeep site set example.com --blank-credentials
  sitekeep site set example.com --web web2 --root /srv/www/example.com`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(siteNames),
	}
	siteFlags(cmd, site)
	mask := &fieldmaskpb.FieldMask{}
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for flag, field := range siteFields() {
			if cmd.Flags().Changed(flag) {
				mask.Paths = append(mask.Paths, field)
			}
		}
		switch f := cmd.Flags(); { // the one takes the other back
		case f.Changed("structure-only"):
			mask.Paths = append(mask.Paths, "all_rows")
		case f.Changed("no-structure-only"):
			mask.Paths = append(mask.Paths, "structure_only")
		}
		if len(mask.Paths) == 0 {
			return usageError("sitekeep site set", "say what of %s is to change", args[0])
		}
		site.Aliases, site.Excludes, site.StructureOnly = given(site.Aliases), given(site.Excludes), given(site.StructureOnly)
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		site.Name = args[0]
		return a.updateSite(ctx, c, site, mask)
	})
	return cmd
}

// given leaves out the empty text that stands for an empty list.
func given(list []string) []string {
	if len(list) == 1 && list[0] == "" {
		return nil
	}
	return list
}

func (a *app) updateSite(ctx context.Context, c *client, site *sitekeepv1.Site, mask *fieldmaskpb.FieldMask) error {
	r, err := c.sites.UpdateSite(ctx, &sitekeepv1.UpdateSiteRequest{Site: site, UpdateMask: mask})
	if err != nil {
		return err
	}
	if err := a.printText(r.GetSite(), r.GetSite().GetName()); err != nil {
		return err
	}
	return a.warnings("site "+site.GetName()+" was changed", r.GetWarnings())
}
