package pki_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/pki"
)

// start is when the tests' masters are set up.
func start() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

func clockAt(t time.Time) pki.Clock { return func() time.Time { return t } }

// master is a CA with the master's own certificate.
type master struct {
	*testing.T
	ca   *pki.CA
	leaf *pki.MasterLeaf
}

func newMaster(t *testing.T) master {
	t.Helper()
	ca, err := pki.InitCA(t.TempDir(), "hub.example.com", start())
	must(t, err)
	leaf, err := pki.NewMasterLeaf(ca, clockAt(start()))
	must(t, err)
	return master{t, ca, leaf}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m master) identity(name string) pki.Identity {
	m.Helper()
	key, err := pki.NewKey()
	must(m.T, err)
	csr, err := pki.NewCSR(key)
	must(m.T, err)
	cert, err := m.ca.SignAgent(csr, name, start(), pki.AgentValidity)
	must(m.T, err)
	return pki.Identity{
		Name: name, Addresses: []string{"hub.example.com:7440"},
		Key: key, Certificate: cert, CA: m.ca.Certificate().Raw,
	}
}

func (m master) agent(name string) *pki.LiveIdentity {
	m.Helper()
	l, err := pki.NewLiveIdentity(m.identity(name))
	must(m.T, err)
	return l
}

// met is what both sides of a connection saw.
type met struct {
	client, server       tls.ConnectionState
	clientErr, serverErr error
}

func (m met) err() error { return errors.Join(m.clientErr, m.serverErr) }

// meet makes a connection over loopback and sends a byte each way, so that
// both sides know what the other thinks of them.
func meet(t *testing.T, client, server *tls.Config) met {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	var m met
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err != nil {
			m.serverErr = err
			return
		}
		m.server, m.serverErr = greet(t.Context(), tls.Server(raw, server))
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	m.client, m.clientErr = greet(t.Context(), tls.Client(raw, client))
	<-done
	return m
}

func greet(ctx context.Context, c *tls.Conn) (tls.ConnectionState, error) {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return tls.ConnectionState{}, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

// forged is a Certifier for certificates that the CA would never issue.
type forged struct {
	cert *tls.Certificate
	ca   *x509.Certificate
}

func (f forged) Current() (*tls.Certificate, error) { return f.cert, nil }
func (f forged) Authority() *x509.Certificate       { return f.ca }

// authority is a CA of the tests' own, which signs anything.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Sitekeep CA hub.example.com"},
		NotBefore: start(), NotAfter: start().Add(pki.CAValidity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return authority{cert, key}
}

// sign makes a certificate with these URIs; change, if not nil, changes it before that.
func (a authority) sign(t *testing.T, change func(*x509.Certificate), uris ...string) forged {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: start(), NotAfter: start().Add(24 * time.Hour),
		DNSNames: []string{"web1", "hub.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, u := range uris {
		parsed, err := url.Parse(u)
		must(t, err)
		template.URIs = append(template.URIs, parsed)
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(t, err)
	return forged{&tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, a.cert}
}
