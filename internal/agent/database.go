package agent

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// databaseService makes, inspects and drops databases; Dump and Import have files of their own.
type databaseService struct {
	agentv1.UnimplementedDatabaseServiceServer
	*Agent
}

// instance logs in to the database server. The caller closes it. A login a
// call costs milliseconds, and no password is kept.
func (a *Agent) instance(ctx context.Context) (*dbdump.Instance, error) {
	m := a.cfg.MySQL
	if m == nil {
		return nil, errs.New(errs.Precondition, "add the section mysql to agent.yaml there and restart sitekeep-agent",
			"agent.yaml of server %s has no section mysql", a.opts.Name)
	}
	password, err := m.Password()
	if err != nil {
		return nil, err
	}
	in, err := dbdump.Open(ctx, dbdump.Server{
		Socket: m.Socket, Host: m.Host, Port: m.Port, DefaultsFile: m.DefaultsFile, User: m.User, Password: dbdump.NewSecret(password),
		TLS: dbdump.TLSMode(m.TLS), CAFile: m.TLSCA,
	}, dbdump.Options{})
	if err != nil {
		return nil, databaseError(err)
	}
	return in, nil
}

// withDatabase checks a database against the allow-list, logs in, and calls f.
func (s *databaseService) withDatabase(ctx context.Context, name string, f func(*dbdump.Instance) error) (err error) {
	if err := s.guard.Database(name); err != nil {
		return err
	}
	in, err := s.instance(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return databaseError(f(in))
}

func (s *databaseService) InspectDatabase(ctx context.Context, req *agentv1.InspectDatabaseRequest) (*agentv1.InspectDatabaseResponse, error) {
	reply := &agentv1.InspectDatabaseResponse{}
	err := s.withDatabase(ctx, req.GetName(), func(in *dbdump.Instance) error {
		info, err := in.Inspect(ctx, req.GetName())
		if err != nil {
			return err
		}
		reply.Exists, reply.Charset, reply.Collation = info.Exists, info.Charset, info.Collation
		reply.Bytes, reply.Server = uint64(max(info.Bytes, 0)), in.Version().Full
		reply.Tables = tablesToProto(info.Tables, nil)
		if info.Exists && req.GetCountRows() {
			counts, err := in.CountRows(ctx, req.GetName())
			if err != nil {
				return err
			}
			reply.Tables = tablesToProto(info.Tables, counts)
		}
		reply.FreeBytes = s.databaseRoom(ctx, in)
		reply.UnknownCollations, err = in.UnknownCollations(ctx, req.GetCollations())
		return err
	})
	return reply, err
}

// databaseRoom is what is free where the server keeps its data; 0 if that is not known, as on another machine.
func (s *databaseService) databaseRoom(ctx context.Context, in *dbdump.Instance) uint64 {
	if s.cfg.MySQL.Socket == "" && !onlyHere(s.cfg.MySQL.Host) {
		return 0
	}
	dir, err := in.DataDir(ctx)
	if err != nil {
		return 0
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return st.Bavail * uint64(st.Frsize)
}

// tablesToProto gives exact counts where there are any, otherwise the server's estimates.
func tablesToProto(tables []dbdump.TableInfo, counts map[string]int64) []*agentv1.TableInfo {
	var out []*agentv1.TableInfo
	for _, t := range tables {
		info := &agentv1.TableInfo{Name: validName(t.Name), View: !t.IsTable(), Engine: t.Engine}
		n, exact := counts[t.Name]
		switch {
		case info.View:
		case exact:
			info.Rows = uint64(n)
		default:
			info.Rows = uint64(max(t.Rows, 0))
		}
		out = append(out, info)
	}
	return out
}

func (s *databaseService) CreateDatabase(ctx context.Context, req *agentv1.CreateDatabaseRequest) (*agentv1.CreateDatabaseResponse, error) {
	err := s.withDatabase(ctx, req.GetName(), func(in *dbdump.Instance) error {
		own, err := in.OwnHost(ctx)
		if err != nil {
			return err
		}
		hosts := append(slices.Clone(req.GetHosts()), own)
		slices.Sort(hosts)
		return create(ctx, in, req, slices.Compact(hosts))
	})
	return &agentv1.CreateDatabaseResponse{}, err
}

// create makes database and user. If the user cannot be made, a database that was made here for it goes again.
func create(ctx context.Context, in *dbdump.Instance, req *agentv1.CreateDatabaseRequest, hosts []string) error {
	spec := dbdump.DatabaseSpec{Name: req.GetName(), Charset: req.GetCharset(), Collation: req.GetCollation(), Ours: req.GetAdopt()}
	if err := in.CreateDatabase(ctx, spec); err != nil {
		return err
	}
	err := in.EnsureUser(ctx, dbdump.UserSpec{
		Name: req.GetUser(), Password: dbdump.NewSecret(req.GetPassword()), Hosts: hosts, Database: req.GetName(),
	})
	if err == nil || req.GetAdopt() {
		return err
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	return errors.Join(err, in.DropDatabase(ctx, req.GetName()))
}

// DropDatabase drops the accounts first: what they may do beside the database is then still to be seen.
func (s *databaseService) DropDatabase(ctx context.Context, req *agentv1.DropDatabaseRequest) (*agentv1.DropDatabaseResponse, error) {
	reply := &agentv1.DropDatabaseResponse{}
	err := s.withDatabase(ctx, guarded(req), func(in *dbdump.Instance) error {
		info, err := in.Inspect(ctx, req.GetName())
		if err != nil {
			return err
		}
		reply.Existed = info.Exists
		if reply.Warnings, err = dropUsers(ctx, in, req); err != nil || req.GetName() == "" {
			return err
		}
		return in.DropDatabase(ctx, req.GetName())
	})
	return reply, err
}

// guarded is what the allow-list is asked about: accounts alone must be named like an allowed database.
func guarded(req *agentv1.DropDatabaseRequest) string {
	if req.GetName() == "" {
		return req.GetUser()
	}
	return req.GetName()
}

// dropUsers leaves accounts that may do something elsewhere, or are the server's own, and says so.
func dropUsers(ctx context.Context, in *dbdump.Instance, req *agentv1.DropDatabaseRequest) (warnings []string, err error) {
	if req.GetUser() == "" {
		return nil, nil
	}
	spec := dbdump.DropUsersSpec{Name: req.GetUser(), Database: req.GetName()}
	if len(req.GetHosts()) > 0 {
		spec.Hosts = req.GetHosts()
	}
	err = in.DropUsers(ctx, spec)
	if dbdump.KindOf(err) == dbdump.KindRefused {
		return []string{problemOf(err)}, nil
	}
	return nil, err
}
