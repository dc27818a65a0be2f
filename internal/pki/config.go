package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// MasterServer is for the master's listener: agents with their certificates,
// and callers of the API who have none and are known by a token afterwards.
// It negotiates ALPNGRPC and ALPNReverse; the latter only with an agent.
// The certificate of an agent that is revoked, of another CA or out of date
// ends the handshake.
func MasterServer(self Certifier, revoked Revoked, clock Clock) *tls.Config {
	cfg := serverConfig(self, clock)
	cfg.ClientAuth = tls.RequestClientCert
	cfg.NextProtos = []string{ALPNGRPC, ALPNReverse}
	v := verifier{authority: self.Authority, clock: clock, usage: x509.ExtKeyUsageClientAuth, accept: isAgent("", revoked)}
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 && cs.NegotiatedProtocol != ALPNReverse {
			return nil
		}
		return v.verify(cs)
	}
	return cfg
}

// MasterDial is for the master that calls the agent of that name, at whatever
// address: the certificate must be for exactly this name and not revoked.
func MasterDial(self Certifier, agent string, revoked Revoked, clock Clock) *tls.Config {
	cfg := clientConfig(self, clock)
	cfg.NextProtos = []string{ALPNGRPC}
	v := verifier{authority: self.Authority, clock: clock, usage: x509.ExtKeyUsageServerAuth, accept: isAgent(agent, revoked)}
	cfg.VerifyConnection = v.verify
	return cfg
}

// AgentServer is for an agent's listener: the master alone gets through.
func AgentServer(self Certifier, clock Clock) *tls.Config {
	cfg := serverConfig(self, clock)
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.NextProtos = []string{ALPNGRPC}
	v := verifier{authority: self.Authority, clock: clock, usage: x509.ExtKeyUsageClientAuth, accept: isMaster}
	cfg.VerifyConnection = v.verify
	return cfg
}

// AgentDial is for an agent that calls its master, to renew its certificate
// for instance.
func AgentDial(self Certifier, clock Clock) *tls.Config {
	cfg := clientConfig(self, clock)
	cfg.NextProtos = []string{ALPNGRPC}
	v := verifier{authority: self.Authority, clock: clock, usage: x509.ExtKeyUsageServerAuth, accept: isMaster}
	cfg.VerifyConnection = v.verify
	return cfg
}

// AgentReverse is for an agent that calls its master and then serves on the
// connection (ALPNReverse). A master that does not speak it ends the handshake.
func AgentReverse(self Certifier, clock Clock) *tls.Config {
	cfg := AgentDial(self, clock)
	cfg.NextProtos = []string{ALPNReverse}
	verify := cfg.VerifyConnection
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if cs.NegotiatedProtocol != ALPNReverse {
			return errors.New("the master does not offer connections in reverse")
		}
		return verify(cs)
	}
	return cfg
}

// Pinned is for somebody who has only a token: an agent that joins, an
// operator's command elsewhere. The other side must be the master, by a
// certificate of the CA that has the fingerprint. It shows no certificate itself.
func Pinned(fp Fingerprint, clock Clock) *tls.Config {
	cfg := clientConfig(nil, clock)
	cfg.NextProtos = []string{ALPNGRPC}
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		ca, err := PinnedAuthority(cs, fp)
		if err != nil {
			return err
		}
		v := verifier{
			authority: func() *x509.Certificate { return ca },
			clock:     clock, usage: x509.ExtKeyUsageServerAuth, accept: isMaster,
		}
		return v.verify(cs)
	}
	return cfg
}

// PinnedAuthority returns the CA's certificate that came along in a handshake
// under Pinned with the same fingerprint.
func PinnedAuthority(cs tls.ConnectionState, fp Fingerprint) (*x509.Certificate, error) {
	for _, cert := range cs.PeerCertificates[min(1, len(cs.PeerCertificates)):] {
		if cert.IsCA && FingerprintOf(cert).Equal(fp) {
			return cert, nil
		}
	}
	return nil, notTrusted("check the address; if the master was set up anew, get a new token; otherwise somebody stands in between", ErrFingerprint)
}

func serverConfig(self Certifier, clock Clock) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		Time:                   clock.now,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return self.Current() },
	}
}

// clientConfig is without the standard library's verification, which is about
// host names; VerifyConnection must be set, and does the whole of it.
func clientConfig(self Certifier, clock Clock) *tls.Config {
	cfg := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true,
		Time:                   clock.now,
	}
	if self != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return self.Current() }
	}
	return cfg
}

// verifier checks the certificate at the other end of a connection.
type verifier struct {
	authority func() *x509.Certificate
	clock     Clock
	usage     x509.ExtKeyUsage
	accept    func(Peer) error
}

func (v verifier) verify(cs tls.ConnectionState) error {
	peer, err := PeerOf(cs)
	if errors.Is(err, ErrNoCertificate) {
		return notTrusted("", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(v.authority())
	// The chain comes first: what an untrusted certificate says is not worth an error's text.
	_, chainErr := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: v.clock.now(), KeyUsages: []x509.ExtKeyUsage{v.usage},
	})
	switch {
	case chainErr != nil:
		return notTrusted(chainHint(chainErr), fmt.Errorf("certificate: %w", chainErr))
	case err != nil:
		return notTrusted("", err)
	}
	return v.accept(peer)
}

func chainHint(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return "compare the clocks of both machines; an agent that was off for too long has to join again"
	}
	return "the two sides belong to different masters: let the agent join this one with a new token"
}

func isMaster(p Peer) error {
	if p.Role != RoleMaster {
		return notTrusted("check the address", fmt.Errorf("%w: it is %s's, not the master's", ErrIdentity, p))
	}
	return nil
}

// isAgent accepts the agent of that name, or any agent if it is empty.
func isAgent(name string, revoked Revoked) func(Peer) error {
	return func(p Peer) error {
		switch {
		case p.Role != RoleAgent:
			return notTrusted("check the address", fmt.Errorf("%w: it is %s's, not an agent's", ErrIdentity, p))
		case name != "" && p.Name != name:
			return notTrusted("check the server's address: another agent answers there",
				fmt.Errorf("%w: it is agent %s's, not %s's", ErrIdentity, p.Name, name))
		case revoked != nil && revoked(p.Name, p.Serial):
			return notTrusted("the server must join again with a new token", fmt.Errorf("agent %s: %w", p.Name, ErrRevoked))
		}
		return nil
	}
}
