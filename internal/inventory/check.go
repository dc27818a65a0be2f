package inventory

import (
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// check refuses what an object cannot mean by itself, and brings its spec into
// the form in which it is compared.
func (o *Object) check() error {
	switch spec := o.Spec.(type) {
	case *serverSpec:
		if err := model.CheckServerName(o.Name); err != nil {
			return err
		}
		err := rolesOf(spec.Roles)
		spec.Roles = sorted(spec.Roles)
		return err
	case *clientSpec:
		if spec.MaxTasks < 0 {
			return errs.New(errs.Usage, "give 0 or more", "maxTasks is %d", spec.MaxTasks)
		}
		return model.CheckClientName(o.Name)
	case *siteSpec:
		return spec.check(o.Name)
	case *scheduleSpec:
		return spec.check(o.Name)
	case *retentionSpec:
		return spec.check(o.Name)
	}
	return nil
}

func (s *siteSpec) check(name string) error {
	for _, domain := range append([]string{name}, s.Aliases...) {
		if err := model.CheckSiteName(domain); err != nil {
			return err
		}
	}
	s.shorten()
	if err := model.CheckMaintenance(s.Maintenance); err != nil {
		return err
	}
	switch {
	case len(s.WebServers) == 0:
		return errs.New(errs.Usage, "name at least one", "it has no webServers")
	case s.Vhost != "" && s.Vhost != model.VhostExternal:
		return errs.New(errs.Usage, "it is managed or external", "there is no vhost mode %q", s.Vhost)
	case s.DBServer == "" && s.Database != "":
		return errs.New(errs.Usage, "say where it is: dbServer", "it has a database %q on no server", s.Database)
	}
	if s.Client != "" {
		if err := model.CheckClientName(s.Client); err != nil {
			return err
		}
	}
	if err := model.CheckStructureOnly(s.StructureOnly, s.AllRows); err != nil {
		return err
	}
	if err := model.CheckPath("root", s.Root); err != nil {
		return err
	}
	if s.Docroot == "" {
		return nil
	}
	return model.CheckPath("docroot", s.Docroot)
}

func (s *scheduleSpec) check(name string) error {
	m := s.schedule(name)
	if _, err := policy.CheckSchedule(&m); err != nil {
		return err
	}
	if s.Format == "" {
		return nil
	}
	if _, err := archive.ParseFormat(s.Format); err != nil {
		return errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
	}
	return nil
}

func (s *retentionSpec) check(name string) error {
	m := s.retention(name)
	switch {
	case name == forAll:
	case m.Client != "":
		if s.MaxSize != 0 {
			return errs.New(errs.Usage, "set it in the document of kind Client, name "+m.Client, "maxSize of a client")
		}
	case m.Site != "":
		if err := model.CheckSiteName(m.Site); err != nil {
			return err
		}
	default:
		return errs.New(errs.Usage, "its name is all, client/NAME or site/NAME", "it is for nothing")
	}
	if strings.TrimSpace(m.Client) != m.Client {
		return model.CheckClientName(m.Client)
	}
	return policy.CheckRetention(&m)
}
