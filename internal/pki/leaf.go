package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"
)

// Certifier has a certificate that changes now and then. It is asked at every handshake.
type Certifier interface {
	// Current returns the certificate to show, its chain up to the CA included.
	Current() (*tls.Certificate, error)
	// Authority is the certificate of the CA.
	Authority() *x509.Certificate
}

// MasterLeaf is the master's own certificate. It lives in memory alone, and is
// issued anew, with a new key, when two thirds of its life are over.
type MasterLeaf struct {
	ca    *CA
	clock Clock

	mu    sync.Mutex
	cert  *tls.Certificate
	renew time.Time
}

// NewMasterLeaf issues the first certificate.
func NewMasterLeaf(ca *CA, clock Clock) (*MasterLeaf, error) {
	m := &MasterLeaf{ca: ca, clock: clock}
	_, err := m.Current()
	return m, err
}

// Authority returns the certificate of the CA.
func (m *MasterLeaf) Authority() *x509.Certificate { return m.ca.cert }

// Current returns the certificate, a new one if it is time.
func (m *MasterLeaf) Current() (*tls.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.now()
	// A clock that was set back makes the certificate one of the future.
	if m.cert != nil && now.Before(m.renew) && !now.Before(m.cert.Leaf.NotBefore) {
		return m.cert, nil
	}
	cert, err := m.issue(now)
	if err != nil {
		return nil, err
	}
	m.cert, m.renew = cert, now.Add(MasterValidity*2/3)
	return cert, nil
}

func (m *MasterLeaf) issue(now time.Time) (*tls.Certificate, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	der, err := m.ca.issue(key.Public(), string(RoleMaster), identityURI(RoleMaster, ""), now, MasterValidity)
	if err != nil {
		return nil, err
	}
	return chain(der, key, m.ca.cert)
}

// chain puts together what is shown in a handshake. The CA is part of it so
// that those who know only its fingerprint can find it.
func chain(der []byte, key crypto.Signer, ca *x509.Certificate) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
