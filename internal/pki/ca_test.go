package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

func TestCAIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "pki")
	made, err := pki.InitCA(dir, "hub", start())
	must(t, err)
	loaded, err := pki.LoadCA(dir)
	must(t, err)
	if !loaded.Certificate().Equal(made.Certificate()) || !loaded.Fingerprint().Equal(made.Fingerprint()) {
		t.Error("another one was loaded")
	}
	mode(t, dir, 0o700|os.ModeDir)
	mode(t, filepath.Join(dir, "ca.pem"), 0o600)

	_, err = pki.InitCA(dir, "hub", start())
	if errs.KindOf(err) != errs.Exists {
		t.Errorf("made twice: %v", err)
	}
	again, err := pki.LoadCA(dir)
	must(t, err)
	if !again.Certificate().Equal(made.Certificate()) {
		t.Error("it was replaced")
	}
	onlyFiles(t, dir, "ca.pem")
}

func mode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != want {
		t.Errorf("%s has mode %s", path, info.Mode())
	}
}

func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for i, e := range entries {
		if i >= len(names) || e.Name() != names[i] {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

func TestCAsThatAreNotTaken(t *testing.T) {
	dir := t.TempDir()
	if _, err := pki.LoadCA(dir); errs.KindOf(err) != errs.NotFound || errs.HintOf(err) == "" {
		t.Errorf("none: %v", err)
	}
	_, err := pki.InitCA(dir, "hub", start())
	must(t, err)
	path := filepath.Join(dir, "ca.pem")
	good, err := os.ReadFile(path)
	must(t, err)
	for n := 0; n < len(good)-1; n += 7 {
		must(t, os.WriteFile(path, good[:n], 0o600))
		if _, err := pki.LoadCA(dir); errs.KindOf(err) != errs.Corrupt {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	other := t.TempDir()
	_, err = pki.InitCA(other, "hub", start())
	must(t, err)
	foreign, err := os.ReadFile(filepath.Join(other, "ca.pem"))
	must(t, err)
	split := bytes.Index(good, []byte("-----BEGIN PRIVATE"))
	foreignKey := foreign[bytes.Index(foreign, []byte("-----BEGIN PRIVATE")):]
	must(t, os.WriteFile(path, append(good[:split:split], foreignKey...), 0o600))
	if _, err := pki.LoadCA(dir); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("with another's key: %v", err)
	}
	must(t, os.WriteFile(path, good, 0o600))
	must(t, os.Chmod(path, 0o640))
	if _, err := pki.LoadCA(dir); errs.KindOf(err) != errs.Permission || errs.HintOf(err) == "" {
		t.Errorf("readable by a group: %v", err)
	}
}

func csr(t *testing.T, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	must(t, err)
	return der
}

// Whatever a request asks for, the certificate says only what the master says.
func TestNamesInARequestAreIgnored(t *testing.T) {
	m := newMaster(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	greedy := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "master", Organization: []string{"evil"}},
		DNSNames: []string{"hub.example.com"},
		URIs:     []*url.URL{{Scheme: "sitekeep", Host: "master"}},
		ExtraExtensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}, // CA:TRUE
		},
	}
	der, err := m.ca.SignAgent(csr(t, greedy, key), "web1", start(), pki.AgentValidity)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "sitekeep://agent/web1" || len(cert.DNSNames) != 0 ||
		cert.IsCA || cert.Subject.String() != "CN=web1" {
		t.Errorf("%v %v %v %s", cert.URIs, cert.DNSNames, cert.IsCA, cert.Subject)
	}
	if !cert.NotAfter.Equal(start().Add(pki.AgentValidity)) || !cert.NotBefore.Equal(start().Add(-pki.ClockSkew)) {
		t.Errorf("%s to %s", cert.NotBefore, cert.NotAfter)
	}
}

func TestRequestsThatAreNotSigned(t *testing.T) {
	m := newMaster(t)
	key, err := pki.NewKey()
	must(t, err)
	good, err := pki.NewCSR(key)
	must(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	other, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	forgedSignature := bytes.Clone(good)
	forgedSignature[len(forgedSignature)-1] ^= 1
	for name, request := range map[string][]byte{
		"nothing":           nil,
		"not a request":     []byte("hello"),
		"a certificate":     m.ca.Certificate().Raw,
		"forged signature":  forgedSignature,
		"RSA":               csr(t, &x509.CertificateRequest{}, weak),
		"another curve":     csr(t, &x509.CertificateRequest{}, other),
		"something behind":  append(bytes.Clone(good), 0),
		"cut off in middle": good[:len(good)/2],
	} {
		if _, err := m.ca.SignAgent(request, "web1", start(), time.Hour); errs.KindOf(err) != errs.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "a/b", "../x", "web 1", "web1?", "-x", "é"} {
		if _, err := m.ca.SignAgent(good, name, start(), time.Hour); errs.KindOf(err) != errs.Usage {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestCertificatesEndWithTheCA(t *testing.T) {
	m := newMaster(t)
	key, err := pki.NewKey()
	must(t, err)
	request, err := pki.NewCSR(key)
	must(t, err)
	der, err := m.ca.SignAgent(request, "web1", start().Add(pki.CAValidity-time.Hour), pki.AgentValidity)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	if !cert.NotAfter.Equal(m.ca.Certificate().NotAfter) {
		t.Errorf("%s", cert.NotAfter)
	}
}
