package link

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const newTokenHint = "get a new token on the master with: sitekeep server token NAME --role web"

// JoinOptions say how to join.
type JoinOptions struct {
	DataDir string
	// Token is the text of the join token, a secret.
	Token string
	// Listen is host:port, :port or host; empty: all addresses and DefaultPort. Ignored with DialOut.
	Listen  string
	DialOut bool
	// Replace lets the agent join again, under a new identity.
	Replace bool
}

// Membership is what came of joining.
type Membership struct {
	Joined
	// Name of the server, and the master's addresses.
	Name      string
	Addresses []string
}

// Join redeems a token and keeps the identity in the data directory, beside a
// sample configuration. What can fail here fails before the token is used.
func Join(ctx context.Context, o JoinOptions) (Membership, error) {
	token, err := pki.ParseJoinToken(o.Token)
	if err != nil {
		return Membership{}, err
	}
	joined := Joined{DialOut: o.DialOut}
	if !o.DialOut {
		if joined.Listen, err = listenAddress(o.Listen); err != nil {
			return Membership{}, err
		}
	}
	if err := prepareDataDir(o); err != nil {
		return Membership{}, err
	}
	id, roles, err := enroll(ctx, token, joined)
	if err != nil {
		return Membership{}, err
	}
	joined.Roles = roles
	// The identity is last: with it the agent has joined.
	if err := saveJoined(o.DataDir, joined); err != nil {
		return Membership{}, errs.New(errs.Failed, newTokenHint, "the token is used, but the answer could not be kept: %w", err)
	}
	if err := pki.SaveIdentity(o.DataDir, id); err != nil {
		return Membership{}, errs.New(errs.Failed, newTokenHint, "the token is used, but the answer could not be kept: %w", err)
	}
	return Membership{Joined: joined, Name: id.Name, Addresses: id.Addresses}, nil
}

// prepareDataDir finds out what may be written, and whether the agent has joined before.
func prepareDataDir(o JoinOptions) error {
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return errs.New(errs.Failed, "use another directory with --data-dir, or run it as root", "data directory: %w", err)
	}
	id, err := pki.LoadIdentity(o.DataDir)
	switch {
	case o.Replace, errs.Is(err, errs.NotFound):
	case err != nil:
		return err
	default:
		return errs.New(errs.Exists, "to join again under a new identity: sitekeep-agent join --replace --token T",
			"this agent has joined already, as %s", id.Name)
	}
	if err := writeFile(filepath.Join(o.DataDir, config.SampleName), config.Sample(), 0o644); err != nil {
		return errs.New(errs.Failed, "use another directory with --data-dir, or run it as root", "data directory: %w", err)
	}
	return nil
}

// listenAddress fills in what is missing of host:port.
func listenAddress(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"); err != nil && (!strings.Contains(bare, ":") || net.ParseIP(bare) != nil) {
		host, port, err = bare, DefaultPort, nil
	}
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n == 0 || strings.ContainsAny(host, " /") {
		return "", errs.New(errs.Usage, "give --listen host:port, such as 192.0.2.7:7441 or :7441", "%q is not an address to listen on", text)
	}
	return net.JoinHostPort(host, port), nil
}

func enroll(ctx context.Context, token pki.JoinToken, joined Joined) (pki.Identity, []model.Role, error) {
	key, err := pki.NewKey()
	if err != nil {
		return pki.Identity{}, nil, err
	}
	csr, err := pki.NewCSR(key)
	if err != nil {
		return pki.Identity{}, nil, err
	}
	req := &agentv1.EnrollRequest{Secret: token.Text(), Csr: csr, ListenAddress: joined.Listen, DialOut: joined.DialOut}
	id := pki.Identity{Addresses: token.Addresses, Key: key}
	var roles []model.Role
	err = callMaster(ctx, token.Addresses, pki.Pinned(token.Fingerprint, nil), func(ctx context.Context, master agentv1.EnrollmentServiceClient) error {
		reply, err := master.Enroll(ctx, req)
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		id.Name, id.Certificate, id.CA = reply.GetName(), reply.GetCertificate(), reply.GetCaCertificate()
		for _, r := range reply.GetRoles() {
			roles = append(roles, model.Role(r))
		}
		return checkAuthority(reply.GetCaCertificate(), token.Fingerprint)
	})
	return id, roles, err
}

// checkAuthority: the CA that the agent will trust is the one that the token names, whoever answered.
func checkAuthority(der []byte, want pki.Fingerprint) error {
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return errs.New(errs.Corrupt, newTokenHint, "join: the master's certificate authority: %w", err)
	}
	if !pki.FingerprintOf(ca).Equal(want) {
		return errs.New(errs.Permission, newTokenHint, "join: %w", pki.ErrFingerprint)
	}
	return nil
}

// Renew asks the master for a new certificate, with the present one.
func Renew(live *pki.LiveIdentity) func(ctx context.Context, csr []byte) ([]byte, error) {
	return func(ctx context.Context, csr []byte) (cert []byte, err error) {
		err = callMaster(ctx, live.Identity().Addresses, pki.AgentDial(live, nil), func(ctx context.Context, master agentv1.EnrollmentServiceClient) error {
			reply, err := master.RenewCertificate(ctx, &agentv1.RenewCertificateRequest{Csr: csr})
			cert = reply.GetCertificate()
			return err
		})
		return cert, err
	}
}
