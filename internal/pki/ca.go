package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// caFile holds the CA's certificate and private key as PEM, in one file so that
// they cannot come apart.
const caFile = "ca.pem"

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY" // PKCS #8, RFC 5958
)

// Fingerprint is the SHA-256 of a CA's public key (its SubjectPublicKeyInfo,
// RFC 5280): it stays the same if the CA's certificate is made anew.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate's key.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// String is hexadecimal.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Equal compares in constant time.
func (f Fingerprint) Equal(g Fingerprint) bool { return subtle.ConstantTimeCompare(f[:], g[:]) == 1 }

// CA is the master's certificate authority, with its private key. It may be
// used by several goroutines at once.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// InitCA makes a CA (ECDSA P-256) called name in dir, which it creates with mode
// 0700. It never replaces a CA that is there: that is an error of kind errs.Exists.
func InitCA(dir, name string, now time.Time) (*CA, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := selfSign(key, name, now)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	ca := &CA{cert: cert, key: key}
	text, err := ca.encode()
	if err != nil {
		return nil, err
	}
	err = writeFile(filepath.Join(dir, caFile), text, keepOld)
	if errors.Is(err, fs.ErrExist) {
		return nil, errs.New(errs.Exists, "keep it: every agent trusts it; to begin anew use another data directory",
			"there is a certificate authority in %s already", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	return ca, nil
}

// LoadCA reads the CA that InitCA made in dir. A missing one is of kind
// errs.NotFound; a file that others may read is refused.
func LoadCA(dir string) (*CA, error) {
	path := filepath.Join(dir, caFile)
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "make one with: sitekeep init", "no certificate authority in %s", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	ca, err := decodeCA(text)
	if err != nil {
		return nil, errs.New(errs.Corrupt, "bring it back from a copy of the data directory", "certificate authority %s: %w", path, err)
	}
	return ca, nil
}

func (ca *CA) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the certificate authority: %w", err)
	}
	return append(ca.CertificatePEM(), pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: key})...), nil
}

func decodeCA(text []byte) (*CA, error) {
	blocks, err := pemBlocks(text, pemCertificate, pemKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(blocks[0])
	if err != nil {
		return nil, err
	}
	key, err := parseKey(blocks[1])
	if err != nil {
		return nil, err
	}
	if !cert.IsCA || !samePublicKey(cert.PublicKey, key.Public()) {
		return nil, errors.New("certificate and key do not belong together")
	}
	return &CA{cert: cert, key: key}, nil
}

// Certificate returns the CA's own certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// CertificatePEM returns the CA's own certificate as PEM.
func (ca *CA) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: ca.cert.Raw})
}

// Fingerprint is what tokens carry.
func (ca *CA) Fingerprint() Fingerprint { return FingerprintOf(ca.cert) }

// NewKey makes a private key for a certificate: ECDSA P-256.
func NewKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

// NewCSR makes a certificate request (PKCS #10, DER) for key. It asks for no
// name: the master gives the name that the token is for.
func NewCSR(key crypto.Signer) ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return csr, nil
}

// SignAgent issues a certificate (DER) for the agent called name, valid from
// now for validity, to whoever holds the key of the request csr (DER). Of the
// request only the key counts: names and extensions in it are ignored.
func (ca *CA) SignAgent(csr []byte, name string, now time.Time, validity time.Duration) ([]byte, error) {
	if err := model.CheckServerName(name); err != nil {
		return nil, err
	}
	key, err := requestedKey(csr)
	if err != nil {
		return nil, errs.New(errs.Usage, "", "certificate request of %s: %w", name, err)
	}
	return ca.issue(key, name, identityURI(RoleAgent, name), now, validity)
}

func requestedKey(csr []byte) (crypto.PublicKey, error) {
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, err
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("it is not signed with its own key: %w", err)
	}
	switch key := req.PublicKey.(type) {
	case ed25519.PublicKey:
		return key, nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, errors.New("its key is neither ECDSA P-256 nor Ed25519")
}

func (ca *CA) issue(key crypto.PublicKey, name string, id *url.URL, now time.Time, validity time.Duration) ([]byte, error) {
	return ca.sign(key, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, now, validity)
}

// sign completes a certificate (DER) and issues it.
func (ca *CA) sign(key crypto.PublicKey, cert *x509.Certificate, now time.Time, validity time.Duration) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	cert.SerialNumber, cert.KeyUsage, cert.BasicConstraintsValid = serial, x509.KeyUsageDigitalSignature, true
	cert.NotBefore, cert.NotAfter = now.Add(-ClockSkew), now.Add(validity)
	if cert.NotAfter.After(ca.cert.NotAfter) {
		cert.NotAfter = ca.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.cert, key, ca.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", cert.Subject.CommonName, err)
	}
	return der, nil
}

func selfSign(key crypto.Signer, name string, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Sitekeep CA " + name},
		NotBefore:             now.Add(-ClockSkew),
		NotAfter:              now.Add(CAValidity),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newSerial returns 127 random bits: positive and at most 16 bytes in DER.
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return signer, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// pemBlocks returns the contents of text's blocks, which must be of these types
// in this order and the only ones.
func pemBlocks(text []byte, types ...string) ([][]byte, error) {
	var out [][]byte
	for _, typ := range types {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != typ {
			return nil, fmt.Errorf("there is no %s where one belongs", typ)
		}
		out, text = append(out, block.Bytes), rest
	}
	if len(bytes.TrimSpace(text)) != 0 {
		return nil, errors.New("there is something behind its end")
	}
	return out, nil
}
