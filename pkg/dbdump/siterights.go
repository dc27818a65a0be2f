package dbdump

import (
	"context"
	"slices"
)

// sitePrivileges are what installing, using and updating a site takes on its
// database: those that Drupal's INSTALL.mysql.txt and WordPress's handbook ask
// for, without LOCK TABLES and CREATE TEMPORARY TABLES, which few sites use.
var sitePrivileges = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "INDEX", "ALTER"}

// MissingPrivileges lists the privileges that the account which is logged in
// lacks on a database and that a site's own account needs there. Of an account
// with roles nothing is said: what they give is not looked at.
func (in *Instance) MissingPrivileges(ctx context.Context, database string) ([]string, error) {
	lines, err := in.column(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, fail("check privileges", in.server.User, err)
	}
	return missingPrivileges(parseGrants(lines), database), nil
}

func missingPrivileges(gs []grant, database string) (missing []string) {
	if slices.ContainsFunc(gs, func(g grant) bool { return g.role != "" }) {
		return nil
	}
	for _, p := range sitePrivileges {
		if !slices.ContainsFunc(gs, func(g grant) bool { return g.covers(p, database) }) {
			missing = append(missing, p)
		}
	}
	return missing
}
