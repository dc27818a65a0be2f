//go:build integration

package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestRemoteOperator drives the master from elsewhere, with an address and a
// token, as each role.
func TestRemoteOperator(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.backup()
	viewer, operator, admin := s.token("viewer"), s.token("operator"), s.token("admin")
	for _, c := range []struct {
		token  string
		status int
		args   []string
	}{
		{viewer, 0, []string{"backups", siteName}}, {viewer, 0, []string{"ls", id}}, {viewer, 0, []string{"task", "list"}},
		{viewer, 7, []string{"backup", siteName}}, {viewer, 7, []string{"cat", id, "wp-config.php"}},
		{viewer, 7, []string{"download", id, "-O", "-"}}, {viewer, 7, []string{"restore", siteName, id}},
		{viewer, 7, []string{"delete", id}}, {viewer, 7, []string{"token", "create", "x", "--role", "admin"}},
		{operator, 0, []string{"backup", siteName, "-m", "from elsewhere"}}, {operator, 0, []string{"cat", id, "wp-config.php"}},
		{operator, 7, []string{"site", "remove", siteName}}, {operator, 7, []string{"server", "revoke", "web1"}},
		{operator, 7, []string{"server", "token", "web2", "--role", "web"}}, {operator, 7, []string{"token", "list"}},
		{admin, 0, []string{"token", "create", "another", "--role", "viewer"}}, {admin, 0, []string{"server", "list"}},
	} {
		r := s.remote(s.master.Addr.String(), c.token, c.args...)
		if r.Code != c.status {
			t.Errorf("sitekeep %q from elsewhere: want exit status %d: %s", c.args, c.status, r)
		}
		if c.status != 0 && r.Stdout != "" {
			t.Errorf("sitekeep %q was refused and prints %.100q", c.args, r.Stdout)
		}
	}
	s.remoteRestore(operator, id)
	s.noEntry(viewer)
}

func (s *stage) token(role string) string {
	s.t.Helper()
	return s.ok("token", "create", "the-"+role, "--role", role)
}

// remote runs a command as on another machine: with an address, a token, and
// no data directory.
func (s *stage) remote(address, token string, args ...string) *bed.Result {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), bed.Must(bed.Build())(s.t).Master, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "SITEKEEP_ADDRESS=" + address, "SITEKEEP_TOKEN=" + token, "SITEKEEP_DATA_DIR=/nonexistent"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return &bed.Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

func (s *stage) remoteRestore(token, id string) {
	s.t.Helper()
	before := s.fingerprint()
	s.must(s.site.Wreck(s.t.Context()))
	r := s.remote(s.master.Addr.String(), token, "restore", siteName, id, "--yes", "--grace", "0s")
	if r.Code != 0 && r.Code != 6 {
		s.t.Errorf("restore from elsewhere: %s", r)
	}
	s.isNow(before)
}

// noEntry tries tokens that are none, and a master that is not the one that
// the token was made by.
func (s *stage) noEntry(viewer string) {
	s.t.Helper()
	other := s.Master("other")
	theirs := strings.TrimSpace(s.OK(other, "token", "create", "x", "--role", "admin"))
	here := s.master.Addr.String()
	for what, c := range map[string]struct {
		address, token string
		status         []int
	}{
		"no token":                   {here, "", []int{2}},
		"nonsense for a token":       {here, "nonsense", []int{2}},
		"another master's token":     {here, theirs, []int{5, 7}},
		"a token at another master":  {other.Addr.String(), viewer, []int{5, 7}},
		"a token with another's end": {here, viewer[:len(viewer)-4] + theirs[len(theirs)-4:], []int{2, 5, 7}},
	} {
		if r := s.remote(c.address, c.token, "backups"); !slices.Contains(c.status, r.Code) || r.Stdout != "" || !strings.Contains(r.Stderr, "hint: ") {
			s.t.Errorf("%s: want exit status %v: %s", what, c.status, r)
		}
	}
	s.ok("token", "revoke", "the-viewer")
	if r := s.remote(here, viewer, "backups"); r.Code != 7 || r.Stdout != "" {
		s.t.Errorf("a revoked token: %s", r)
	}
}

// TestHealthAndReflection asks as automation would, on both ways in.
func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, master: b.Master("master")}
	token := s.token("viewer")
	anybody := bed.Must(grpc.NewClient(s.master.Addr.String(), grpc.WithTransportCredentials(tlsAnyone())))(t)
	known := bed.Must(grpc.NewClient(s.master.Addr.String(), grpc.WithTransportCredentials(tlsAnyone()),
		grpc.WithPerRPCCredentials(bearer(token))))(t)
	t.Cleanup(func() { _, _ = anybody.Close(), known.Close() })
	for name, conn := range map[string]*grpc.ClientConn{"socket": s.dialLocal(), "TLS with a token": known} {
		if err := serving(t.Context(), conn); err != nil {
			t.Errorf("%s: health: %v", name, err)
		}
		services, err := reflected(t.Context(), conn)
		if err != nil {
			t.Errorf("%s: reflection: %v", name, err)
		}
		for _, want := range []string{"sitekeep.v1.BackupService", "sitekeep.v1.RestoreService", "sitekeep.v1.SiteService", "sitekeep.v1.ServerService", "sitekeep.v1.TaskService"} {
			if !slices.Contains(services, want) {
				t.Errorf("%s: reflection lacks %s: %q", name, want, services)
			}
		}
	}
	if err := serving(t.Context(), anybody); err != nil {
		t.Errorf("health is for everybody: %v", err)
	}
	if _, err := reflected(t.Context(), anybody); status.Code(err) != codes.PermissionDenied && status.Code(err) != codes.Unauthenticated {
		t.Errorf("reflection without a token: %v", err)
	}
}

// tlsAnyone trusts any server: whether the programs do not is tested with them.
func tlsAnyone() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

func serving(ctx context.Context, conn *grpc.ClientConn) error {
	r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil && r.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		err = errors.New(r.Status.String())
	}
	return err
}

func reflected(ctx context.Context, conn *grpc.ClientConn) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	ask := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		_, err = stream.Recv()
		return nil, err
	}
	answer, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.Name)
	}
	return names, nil
}
