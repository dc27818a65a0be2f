package hub

import (
	"context"
	"crypto/x509"
	"net"
	"strconv"

	"google.golang.org/grpc/peer"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type enrollmentService struct {
	agentv1.UnimplementedEnrollmentServiceServer
	*Hub
}

// Enroll redeems the token, and records the server and its certificate, in one transaction.
func (s *enrollmentService) Enroll(ctx context.Context, q *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	token, err := pki.ParseJoinToken(q.Secret)
	if err != nil {
		return nil, err
	}
	now, hash := s.Now(), token.Hash()
	address, err := listenAddress(ctx, q)
	if err != nil {
		return nil, err
	}
	grant, err := s.grant(ctx, hash[:])
	if err != nil {
		return nil, err
	}
	der, err := s.CA.SignAgent(q.Csr, grant.Name, now, pki.AgentValidity)
	if err != nil {
		return nil, err
	}
	server, err := newServer(grant, der, address, q.DialOut)
	if err != nil {
		return nil, err
	}
	server.JoinedAt = now.UTC()
	_, err = s.Catalogue.RedeemToken(ctx, hash[:], now, func(ctx context.Context, tx *catalogue.Tx) error {
		return tx.PutServer(ctx, *server)
	})
	if err != nil {
		return nil, err
	}
	s.Fleet.Drop(server.Name) // a connection to the server that had this name before
	out := &agentv1.EnrollResponse{Name: grant.Name, Certificate: der, CaCertificate: s.CA.Certificate().Raw}
	for _, r := range grant.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	return out, nil
}

// grant looks the token up without using it; whether it is still good is decided when it is redeemed.
func (s *enrollmentService) grant(ctx context.Context, hash []byte) (catalogue.JoinToken, error) {
	list, err := s.Catalogue.JoinTokens(ctx)
	if err != nil {
		return catalogue.JoinToken{}, err
	}
	for _, t := range list {
		if string(t.Hash) == string(hash) {
			return t, nil
		}
	}
	return catalogue.JoinToken{}, errs.New(errs.Permission, "make a new one on the master with: sitekeep server token NAME --role web", "the join token is not known")
}

func newServer(grant catalogue.JoinToken, der []byte, address string, dialOut bool) (*model.Server, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &model.Server{
		Name: grant.Name, Roles: grant.Roles, Address: address, DialOut: dialOut,
		Serial: cert.SerialNumber.Text(16), NotAfter: cert.NotAfter.UTC(),
	}, nil
}

// listenAddress is where the master will dial. An agent that listens everywhere is dialled where it calls from.
func listenAddress(ctx context.Context, q *agentv1.EnrollRequest) (string, error) {
	if q.DialOut {
		return "", nil
	}
	host, port, err := net.SplitHostPort(q.ListenAddress)
	if err != nil {
		return "", errs.New(errs.Usage, "give --listen HOST:PORT, or --dial-out", "listen address %q: %w", q.ListenAddress, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errs.New(errs.Usage, "give --listen HOST:PORT with the number of a port", "listen address %q names no port", q.ListenAddress)
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return q.ListenAddress, nil
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errs.New(errs.Usage, "give --listen HOST:PORT", "the agent's address is not known")
	}
	from, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return "", errs.New(errs.Usage, "give --listen HOST:PORT", "the agent's address %s: %w", p.Addr, err)
	}
	return net.JoinHostPort(from, port), nil
}

// RenewCertificate serves agents only; the interceptor has seen to that, and the handshake to revocations.
func (s *enrollmentService) RenewCertificate(ctx context.Context, q *agentv1.RenewCertificateRequest) (*agentv1.RenewCertificateResponse, error) {
	who := callerFrom(ctx).agent
	der, err := s.CA.SignAgent(q.Csr, who.Name, s.Now(), pki.AgentValidity)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := s.Catalogue.RecordCertificate(ctx, who.Name, cert.SerialNumber.Text(16), cert.NotAfter.UTC()); err != nil {
		return nil, err
	}
	return &agentv1.RenewCertificateResponse{Certificate: der}, nil
}
