package pki

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"sync"
	"time"
)

// WebLeaf is the certificate of the pages for browsers: it has host names and
// addresses, and no identity of ours, so it is good for nothing but this. It
// lives in memory alone, and is issued anew like [MasterLeaf].
type WebLeaf struct {
	ca    *CA
	hosts []string
	clock Clock

	mu    sync.Mutex
	cert  *tls.Certificate
	renew time.Time
}

// NewWebLeaf prepares certificates for hosts: names, and addresses as text.
func NewWebLeaf(ca *CA, hosts []string, clock Clock) *WebLeaf {
	return &WebLeaf{ca: ca, hosts: hosts, clock: clock}
}

// Current returns the certificate, a new one if it is time.
func (w *WebLeaf) Current() (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.now()
	if w.cert != nil && now.Before(w.renew) && !now.Before(w.cert.Leaf.NotBefore) {
		return w.cert, nil
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "Sitekeep"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, host := range w.hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
			continue
		}
		cert.DNSNames = append(cert.DNSNames, host)
	}
	der, err := w.ca.sign(key.Public(), cert, now, MasterValidity)
	if err != nil {
		return nil, err
	}
	if w.cert, err = chain(der, key, w.ca.cert); err == nil {
		w.renew = now.Add(MasterValidity * 2 / 3)
	}
	return w.cert, err
}
