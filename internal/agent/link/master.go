package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const (
	dialTimeout = 10 * time.Second // TCP and TLS to one address
	callTimeout = 30 * time.Second // one enrolment or renewal
)

// dialMaster connects to the first of the master's addresses that answers. It
// does the TLS handshake itself, because what is wrong with a certificate does
// not come through gRPC as an error that can be told apart.
func dialMaster(ctx context.Context, addresses []string, cfg *tls.Config) (*tls.Conn, error) {
	var failures []error
	for _, address := range addresses {
		conn, err := dialTLS(ctx, address, cfg)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failures = append(failures, fmt.Errorf("%s: %w", address, err))
	}
	return nil, unreachable(addresses, failures)
}

func dialTLS(ctx context.Context, address string, cfg *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// unreachable prefers a failure that will not pass by itself, such as a certificate that is not the master's.
func unreachable(addresses []string, failures []error) error {
	for _, err := range failures {
		if errs.Is(err, errs.Permission) {
			return err
		}
	}
	return errs.New(errs.Unreachable, "see that sitekeep serve runs on the master, and that its gRPC port can be reached from here",
		"the master cannot be reached at %s: %w", strings.Join(addresses, ", "), errors.Join(failures...))
}

// callMaster makes one call over a connection of its own.
func callMaster(ctx context.Context, addresses []string, cfg *tls.Config, call func(context.Context, agentv1.EnrollmentServiceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := dialMaster(ctx, addresses, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := clientOver(conn)
	if err != nil {
		return err
	}
	defer client.Close()
	return call(ctx, agentv1.NewEnrollmentServiceClient(client))
}

// clientOver is a gRPC client over a connection whose handshake is done.
func clientOver(conn net.Conn) (*grpc.ClientConn, error) {
	unused := make(chan net.Conn, 1)
	unused <- conn
	return grpc.NewClient("passthrough:///master",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the connection is TLS already
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-unused:
				return c, nil
			default:
				return nil, errors.New("the master has ended the connection")
			}
		}),
		grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors()),
	)
}

// LocalHost returns the address under which this machine speaks to the master;
// empty if that cannot be told. Nothing is sent.
func LocalHost(addresses []string) string {
	for _, address := range addresses {
		conn, err := net.Dial("udp", address)
		if err != nil {
			continue
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		_ = conn.Close()
		if err == nil {
			return host
		}
	}
	return ""
}
