package bed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Inventory is what a restore could leave behind on the servers: sorted names.
type Inventory struct {
	Databases   []string
	Users       []string // user@host
	Grants      []string // without password hashes
	Directories []string // all entries directly in the web roots
	Vhosts      []string // all entries of the vhost directories
}

var passwordHash = regexp.MustCompile(` IDENTIFIED (?:BY PASSWORD|VIA|WITH) .*$`)

// TakeInventory lists what there is now on any number of servers; either list
// may be empty.
func TakeInventory(ctx context.Context, dbs []*MariaDB, webs []*Web) (*Inventory, error) {
	inv := &Inventory{}
	for _, m := range dbs {
		if err := inv.addDB(ctx, m); err != nil {
			return nil, fmt.Errorf("inventory of %s: %w", m.Name(), err)
		}
	}
	for _, w := range webs {
		err := errors.Join(
			list(&inv.Directories, w.name, w.Root),
			list(&inv.Vhosts, w.name, w.VhostDir),
			list(&inv.Vhosts, w.name, w.OwnVhosts))
		if err != nil {
			return nil, fmt.Errorf("inventory of %s: %w", w.name, err)
		}
	}
	return inv, nil
}

func (inv *Inventory) addDB(ctx context.Context, m *MariaDB) error {
	databases, err := column(ctx, m.root, "SELECT schema_name FROM information_schema.schemata ORDER BY 1")
	if err != nil {
		return err
	}
	users, err := column(ctx, m.root, "SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user ORDER BY 1")
	if err != nil {
		return err
	}
	prefix := m.Name() + " "
	for _, d := range databases {
		inv.Databases = append(inv.Databases, prefix+d)
	}
	for _, u := range users {
		grants, err := column(ctx, m.root, "SHOW GRANTS FOR "+u)
		var gone *mysql.MySQLError
		if errors.As(err, &gone) && gone.Number == noSuchGrant {
			continue // it was dropped since the users were listed
		}
		if err != nil {
			return err
		}
		inv.Users = append(inv.Users, prefix+u)
		for _, g := range grants {
			inv.Grants = append(inv.Grants, prefix+passwordHash.ReplaceAllString(g, ""))
		}
	}
	return nil
}

// noSuchGrant is ER_NONEXISTING_GRANT.
const noSuchGrant = 1141

func list(to *[]string, part, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		*to = append(*to, part+" "+e.Name())
	}
	return nil
}

// Added lists what is in now and was not before, and Removed the reverse, each
// as "databases: db1 name".
func (inv *Inventory) Added(now *Inventory) []string { return missing(now, inv) }

// Removed lists what was before and is not in now.
func (inv *Inventory) Removed(now *Inventory) []string { return missing(inv, now) }

// Diff is empty when nothing came and nothing went.
func (inv *Inventory) Diff(now *Inventory) string {
	var out strings.Builder
	for _, a := range inv.Removed(now) {
		out.WriteString("- " + a + "\n")
	}
	for _, a := range inv.Added(now) {
		out.WriteString("+ " + a + "\n")
	}
	return out.String()
}

// missing lists what a has and b lacks.
func missing(a, b *Inventory) []string {
	var out []string
	for _, part := range []struct {
		name string
		a, b []string
	}{
		{"databases", a.Databases, b.Databases}, {"users", a.Users, b.Users}, {"grants", a.Grants, b.Grants},
		{"directories", a.Directories, b.Directories}, {"vhosts", a.Vhosts, b.Vhosts},
	} {
		for _, v := range part.a {
			if !slices.Contains(part.b, v) {
				out = append(out, part.name+": "+v)
			}
		}
	}
	return out
}

// Nameless is an inventory in which a site's database and its accounts have no
// name. Grants stand as whom they are for and on what. A local account beside
// that for the web server is the same account.
func (inv *Inventory) Nameless(database string) *Inventory {
	out := *inv
	names := strings.NewReplacer(strings.ReplaceAll(database, "_", `\_`), "<site>", database, "<site>")
	site := func(list []string) []string {
		list = slices.Clone(list)
		for i, v := range list {
			if _, on, found := strings.Cut(v, " ON "); found {
				v = strings.TrimSuffix(on, " WITH GRANT OPTION")
			}
			if v = names.Replace(v); strings.Contains(v, "<site>") {
				v = strings.ReplaceAll(v, "localhost", "127.0.0.1")
			}
			list[i] = v
		}
		return list
	}
	out.Databases, out.Users, out.Grants = site(inv.Databases), site(inv.Users), site(inv.Grants)
	return &out
}
