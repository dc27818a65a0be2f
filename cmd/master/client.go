package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/wire"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const (
	socketName = "sitekeep.sock" // in the data directory
	masterPort = "7440"

	dialTimeout    = 10 * time.Second
	maxReceive     = 16 << 20
	pingAfter      = 30 * time.Second // of silence on a connection over the network; the master must allow it
	pingTimeout    = 15 * time.Second
	maxTokenFile   = 4096
	reconnectDelay = 2 * time.Second

	// socketWindow is how many bytes the master may send through the socket before they are read: long lists need not
	// stop and go. Over a network gRPC finds the window by itself, and must not be told one.
	socketWindow = 1 << 20
)

// client is a connection to the master.
type client struct {
	conn     *grpc.ClientConn
	servers  sitekeepv1.ServerServiceClient
	sites    sitekeepv1.SiteServiceClient
	backups  sitekeepv1.BackupServiceClient
	restores sitekeepv1.RestoreServiceClient
	tasks    sitekeepv1.TaskServiceClient
	access   sitekeepv1.AccessServiceClient
	users    sitekeepv1.UserServiceClient

	schedules  sitekeepv1.ScheduleServiceClient
	retentions sitekeepv1.RetentionServiceClient
	clients    sitekeepv1.ClientServiceClient
	inventory  sitekeepv1.InventoryServiceClient
}

// call makes a command that speaks to the master.
func (a *app) call(do func(ctx context.Context, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer c.conn.Close() // nothing is buffered in it that could be lost
		return a.unreached(do(cmd.Context(), c, args))
	}
}

// unreached says what to do where the connection itself was refused, as by a master that did not make the token.
func (a *app) unreached(err error) error {
	if !errs.Is(err, errs.Unreachable) || errs.HintOf(err) != "" || a.address == "" {
		return err
	}
	return errs.New(errs.Unreachable, "check the address, and that the API token is one of that master's", "the master at %s: %w", a.address, err)
}

// connect finds the master: at its address if there is one, else through the socket in the data directory. It dials
// at once, so that a master that is not there is told apart from one that refuses.
func (a *app) connect(ctx context.Context) (*client, error) {
	dial, opts, err := a.transport()
	if err != nil {
		return nil, err
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	first, err := dial(dialCtx)
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		grpc.WithContextDialer(reuse(first, dial)),
		grpc.WithUnaryInterceptor(wire.UnaryClientErrors()),
		grpc.WithStreamInterceptor(wire.StreamClientErrors()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectDelay},
			MinConnectTimeout: dialTimeout,
		}))
	conn, err := grpc.NewClient("passthrough:///master", opts...)
	if err != nil {
		first.Close()
		return nil, errs.New(errs.Failed, "", "prepare the connection to the master: %w", err)
	}
	return newClient(conn), nil
}

func newClient(conn *grpc.ClientConn) *client {
	return &client{
		conn:     conn,
		servers:  sitekeepv1.NewServerServiceClient(conn),
		sites:    sitekeepv1.NewSiteServiceClient(conn),
		backups:  sitekeepv1.NewBackupServiceClient(conn),
		restores: sitekeepv1.NewRestoreServiceClient(conn),
		tasks:    sitekeepv1.NewTaskServiceClient(conn),
		access:   sitekeepv1.NewAccessServiceClient(conn),
		users:    sitekeepv1.NewUserServiceClient(conn),

		schedules:  sitekeepv1.NewScheduleServiceClient(conn),
		retentions: sitekeepv1.NewRetentionServiceClient(conn),
		clients:    sitekeepv1.NewClientServiceClient(conn),
		inventory:  sitekeepv1.NewInventoryServiceClient(conn),
	}
}

type dialer func(context.Context) (net.Conn, error)

// reuse gives gRPC the connection that is there already, and new ones after that.
func reuse(first net.Conn, dial dialer) func(context.Context, string) (net.Conn, error) {
	ready := make(chan net.Conn, 1)
	ready <- first
	return func(ctx context.Context, _ string) (net.Conn, error) {
		select {
		case conn := <-ready:
			return conn, nil
		default:
			return dial(ctx)
		}
	}
}

func (a *app) transport() (dialer, []grpc.DialOption, error) {
	if a.address == "" {
		return a.dialSocket, []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(socketWindow), grpc.WithInitialConnWindowSize(socketWindow)}, nil
	}
	token, err := a.token()
	if err != nil {
		return nil, nil, err
	}
	return a.dialAddress, []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(pinned(token))),
		grpc.WithPerRPCCredentials(bearer{token}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
	}, nil
}

func pinned(token pki.APIToken) *tls.Config { return pki.Pinned(token.Fingerprint, nil) }

func (a *app) dialSocket(ctx context.Context) (net.Conn, error) {
	socket := filepath.Join(a.dataDir, socketName)
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, errs.New(errs.Permission, "become root or the user that the master runs as",
			"the master's socket %s may not be used: %w", socket, errors.Unwrap(err))
	case errors.Is(err, syscall.EINVAL):
		return nil, errs.New(errs.Usage, "give a --data-dir with a shorter path", "the path of the socket %s is too long: %w", socket, err)
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, errs.New(errs.Unreachable, "start it with: sitekeep serve --data-dir "+a.dataDir,
		"the master is not running: %w", err)
}

func (a *app) dialAddress(ctx context.Context) (net.Conn, error) {
	address := a.address
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), masterPort)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil, errs.New(errs.Unreachable, "check the address, and on the master that `sitekeep serve` runs and listens there",
			"the master at %s cannot be reached: %w", address, err)
	}
	return conn, err
}

// token reads the API token from the file that was named, or from the environment. It never stands in argv.
func (a *app) token() (pki.APIToken, error) {
	const hint = "on the master run: sitekeep token create NAME --role operator; then set SITEKEEP_TOKEN or give --token-file"
	text := a.getenv("SITEKEEP_TOKEN")
	if a.tokenFile != "" {
		content, err := readToken(a.tokenFile)
		if err != nil {
			return pki.APIToken{}, errs.New(errs.Usage, hint, "read the API token: %w", err)
		}
		text = content
	}
	if strings.TrimSpace(text) == "" {
		return pki.APIToken{}, errs.New(errs.Usage, hint, "a master at an address needs an API token, and there is none")
	}
	token, err := pki.ParseAPIToken(text)
	if err != nil {
		return pki.APIToken{}, errs.New(errs.Usage, hint, "the API token cannot be used: %w", err)
	}
	return token, nil
}

func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	return string(content), err
}

// bearer sends the API token with every call, over TLS alone.
type bearer struct{ token pki.APIToken }

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token.Text()}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
