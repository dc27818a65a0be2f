package restore

import (
	"context"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// missing is an inventory that does not know the site yet.
type missing struct{ Sites }

func (m missing) Site(ctx context.Context, name string) (model.Site, error) {
	if name == siteName {
		return model.Site{}, errs.New(errs.NotFound, "list them", "no site %s", name)
	}
	return m.Sites.Site(ctx, name)
}

func (m missing) RootFree(context.Context, model.Site) error { return nil }

// TestDryRunOfWhatIsMade: of new sites and of migrations the very plan is printed, and what is in the way is refused; nothing is
// touched. There is nothing to compare the backup with.
func TestDryRunOfWhatIsMade(t *testing.T) {
	r := newRig(t)
	for what, c := range map[string]struct {
		q     quirks
		steps string
		down  string
	}{
		"made": {quirks{deploy: true, fresh: true}, "check_everything create_database push_files import_dump write_settings rename_settings begin_maintenance " +
			"exchange_trees write_vhost verify_site end_maintenance", "nobody visits"},
		"moved": {quirks{migrate: true}, "check_everything create_database retire_database send_ahead begin_maintenance final_backup push_files import_dump " +
			"write_settings retire_place exchange_trees write_vhost verify_site end_maintenance", "on record yet"},
	} {
		t.Run(what, func(t *testing.T) {
			g := r.newGame(c.q)
			master := g.master()
			if c.q.fresh {
				master.deps.Sites = missing{g.book}
			}
			before := g.now()
			p, err := master.DryRun(t.Context(), g.first(), c.q.request(g.rig.f.backup.ID, grace))
			must(t, err)
			var names []string
			for _, s := range p.Steps {
				names = append(names, s.Name)
				if s.Description == "" || len(s.Servers) == 0 {
					t.Errorf("%+v", s)
				}
			}
			if got := strings.Join(names, " "); got != c.steps {
				t.Errorf("steps %s", got)
			}
			if len(p.Room) != 3 || len(p.Files)+len(p.Tables) > 0 || p.NewDatabase == "" || !strings.Contains(p.Downtime.Basis, c.down) {
				t.Errorf("%+v", p)
			}
			g.is("dry run", before)

			for _, s := range []string{"web1", "web3"} { // one of each is where the site is to be
				if g.webs[s] != nil && g.webs[s].live[siteName] == nil {
					g.webs[s].vhosts[siteName] = "somebody's own"
				}
			}
			if _, err := master.DryRun(t.Context(), g.first(), c.q.request(g.rig.f.backup.ID, grace)); !errs.Is(err, errs.Exists) {
				t.Errorf("what is in the way is not told: %v", err)
			}
		})
	}
}

// TestBlankedBackups are brought back where a password is written, and refused where none would be.
func TestBlankedBackups(t *testing.T) {
	blanked := []string{"settings.php"}
	site := model.Site{Name: siteName, DBServer: "db1"}
	static := model.Site{Name: siteName}
	for what, c := range map[string]struct {
		basis   Basis
		refused bool
	}{
		"whole":                         {Basis{Site: site, HasDump: true}, false},
		"files, with the live password": {Basis{Site: site, HasDump: true, Part: FilesOnly}, false},
		"database":                      {Basis{Site: site, HasDump: true, Part: DatabaseOnly}, false},
		"drill":                         {Basis{Site: static, Part: Drill}, false},
		"no database server":            {Basis{Site: static}, true},
		"files, no database server":     {Basis{Site: static, Part: FilesOnly}, true},
	} {
		if err := c.basis.checkPasswords(blanked); errs.Is(err, errs.Precondition) != c.refused || err != nil && errs.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
		if err := c.basis.checkPasswords(nil); err != nil {
			t.Errorf("%s, not blanked: %v", what, err)
		}
	}
	for what, c := range map[string]struct {
		paths   []string
		carry   bool
		refused bool
	}{
		"another path":         {[]string{"./files"}, false, false},
		"the file":             {[]string{"./sites/settings.php"}, false, true},
		"what is above it":     {[]string{"./sites"}, false, true},
		"with the live values": {[]string{"./sites"}, true, false},
	} {
		b := Basis{Paths: rawPaths(c.paths), Carry: c.carry}
		if err := b.checkBlanked([]string{"sites/settings.php"}); errs.Is(err, errs.Precondition) != c.refused {
			t.Errorf("%s: %v", what, err)
		}
	}
}
