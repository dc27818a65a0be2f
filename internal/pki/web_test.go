package pki_test

import (
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/pki"
)

// TestWebLeaf: a browser that trusts the CA takes the certificate for its hosts, and it is nobody's identity.
func TestWebLeaf(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ca, err := pki.InitCA(filepath.Join(t.TempDir(), "ca"), "test", now)
	if err != nil {
		t.Fatal(err)
	}
	leaf := pki.NewWebLeaf(ca, []string{"backup.example", "192.0.2.1"}, func() time.Time { return now })
	first, err := leaf.Current()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	for host, good := range map[string]bool{"backup.example": true, "192.0.2.1": true, "other.example": false} {
		_, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it is good for a client")
	}
	if len(first.Leaf.URIs) != 0 {
		t.Errorf("it has the identity %v", first.Leaf.URIs)
	}
	if again, err := leaf.Current(); err != nil || again != first {
		t.Errorf("it was issued anew: %v", err)
	}
	now = now.Add(pki.MasterValidity * 2 / 3)
	if next, err := leaf.Current(); err != nil || next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("it was not renewed: %v", err)
	}
}
