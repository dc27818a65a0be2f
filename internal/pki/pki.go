// Package pki is the trust between the master, its agents and its remote
// operators: a small certificate authority on the master, the tokens with which
// a server joins or an operator calls, and the tls.Config of every pair that
// may speak to each other. It refuses to know what is said over those
// connections, and keeps no list of tokens or revocations: others do, and hand
// in functions.
//
// Everybody is known by the one URI in its certificate: sitekeep://master or
// sitekeep://agent/NAME. Host names and addresses in certificates mean nothing,
// so a server may move. TLS 1.3 alone is spoken, without session tickets: each
// connection is a whole handshake and is checked against the revocations.
package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Protocols that are negotiated by ALPN.
const (
	// ALPNGRPC is for connections whose dialler is the gRPC client.
	ALPNGRPC = "h2"
	// ALPNReverse is for connections that an agent dials and then serves on:
	// the master is the gRPC client on them.
	ALPNReverse = "sitekeep-reverse/1"
)

// How long certificates live. An agent that was off for longer than its
// certificate's life has to join again.
const (
	CAValidity     = 20 * 365 * 24 * time.Hour
	AgentValidity  = 30 * 24 * time.Hour
	MasterValidity = 24 * time.Hour
	// ClockSkew is by how much a new certificate is valid before now.
	ClockSkew = 10 * time.Minute
)

// Role is what a certificate's owner is.
type Role string

// Roles.
const (
	RoleMaster Role = "master"
	RoleAgent  Role = "agent"
)

const scheme = "sitekeep"

// Peer is the verified owner of a certificate.
type Peer struct {
	Role Role
	// Name is the agent's; empty for the master.
	Name string
	// Serial is the certificate's serial number in lower-case hexadecimal.
	Serial string
	// NotAfter is when the certificate ends. A connection may outlive it.
	NotAfter time.Time
}

// String is the peer's identity, sitekeep://agent/NAME for instance.
func (p Peer) String() string { return identityURI(p.Role, p.Name).String() }

// Revoked says whether the agent of that name, or its certificate with that
// serial number (as in Peer), has been revoked. It is asked at every handshake,
// concurrently, and should answer from memory.
type Revoked func(name, serial string) bool

// Clock tells the time; nil is time.Now.
type Clock func() time.Time

func (c Clock) now() time.Time {
	if c == nil {
		return time.Now()
	}
	return c()
}

// Errors that verification may wrap. They arrive at the verifying side alone:
// the other side sees a TLS alert.
var (
	ErrNoCertificate = errors.New("the other side has shown no certificate")
	ErrIdentity      = errors.New("the certificate is not that of the one who is called")
	ErrRevoked       = errors.New("the certificate has been revoked")
	ErrFingerprint   = errors.New("the certificate authority is not the one that the token names")
)

// PeerOf returns who is at the other end of a connection made with one of this
// package's configurations, after its handshake. ErrNoCertificate if it has
// shown no certificate: then it is a caller with an API token, or none at all.
func PeerOf(cs tls.ConnectionState) (Peer, error) {
	if len(cs.PeerCertificates) == 0 {
		return Peer{}, ErrNoCertificate
	}
	return peerOf(cs.PeerCertificates[0])
}

func peerOf(cert *x509.Certificate) (Peer, error) {
	if len(cert.URIs) != 1 {
		return Peer{}, fmt.Errorf("%w: it has %d URIs instead of one", ErrIdentity, len(cert.URIs))
	}
	p := Peer{Serial: cert.SerialNumber.Text(16), NotAfter: cert.NotAfter}
	uri := cert.URIs[0].String()
	switch name, isAgent := strings.CutPrefix(uri, scheme+"://agent/"); {
	case uri == scheme+"://master":
		p.Role = RoleMaster
	case isAgent && model.CheckServerName(name) == nil:
		p.Role, p.Name = RoleAgent, name
	default:
		return Peer{}, fmt.Errorf("%w: its URI %q is none of ours", ErrIdentity, uri)
	}
	return p, nil
}

func identityURI(role Role, name string) *url.URL {
	if role == RoleMaster {
		return &url.URL{Scheme: scheme, Host: string(RoleMaster)}
	}
	return &url.URL{Scheme: scheme, Host: string(role), Path: "/" + name}
}

// notTrusted gives an error of verification its kind and hint.
func notTrusted(hint string, err error) error {
	return &errs.Error{Kind: errs.Permission, Hint: hint, Err: err}
}
