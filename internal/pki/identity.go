package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// identityFile holds all of an agent's identity in one file, so that its parts
// cannot come apart: its certificate, its private key, the CA's certificate,
// and a block of our own with the rest. `openssl x509 -in` shows the certificate.
const (
	identityFile = "identity.pem"
	pemDetails   = "SITEKEEP AGENT"
)

// Identity is who an agent is, and whom it trusts.
type Identity struct {
	// Name is the agent's name, as in its certificate.
	Name string
	// Addresses are where the master may be reached, host:port.
	Addresses []string
	Key       crypto.Signer `json:"-"`
	// Certificate and CA are DER.
	Certificate []byte
	CA          []byte
}

// details is the JSON in the identity file's own block.
type details struct {
	Version   int      `json:"version"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
}

const detailsVersion = 1

// check says whether the parts belong together, and returns the pair. It does
// not look at the time: an expired identity is whole.
func (id Identity) check() (*tls.Certificate, *x509.Certificate, error) {
	ca, err := x509.ParseCertificate(id.CA)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate authority: %w", err)
	}
	cert, err := chain(id.Certificate, id.Key, ca)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate: %w", err)
	}
	if err := cert.Leaf.CheckSignatureFrom(ca); err != nil {
		return nil, nil, fmt.Errorf("certificate is not by this certificate authority: %w", err)
	}
	if !samePublicKey(cert.Leaf.PublicKey, id.Key.Public()) {
		return nil, nil, errors.New("certificate and key do not belong together")
	}
	peer, err := peerOf(cert.Leaf)
	if err != nil {
		return nil, nil, err
	}
	if peer.Role != RoleAgent || peer.Name != id.Name {
		return nil, nil, fmt.Errorf("%w: it is %s's, not agent %s's", ErrIdentity, peer, id.Name)
	}
	return cert, ca, nil
}

// SaveIdentity writes id to dir, which it creates with mode 0700, in place of
// any that is there. Whatever happens, dir holds the old identity or the new one.
func SaveIdentity(dir string, id Identity) error {
	if _, _, err := id.check(); err != nil {
		return fmt.Errorf("save the identity of agent %s: %w", id.Name, err)
	}
	text, err := id.encode()
	if err != nil {
		return fmt.Errorf("save the identity of agent %s: %w", id.Name, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save the identity of agent %s: %w", id.Name, err)
	}
	if err := writeFile(filepath.Join(dir, identityFile), text, replaceOld); err != nil {
		return fmt.Errorf("save the identity of agent %s: %w", id.Name, err)
	}
	return nil
}

// LoadIdentity reads what SaveIdentity wrote. A missing one is of kind
// errs.NotFound; a file that others may read is refused.
func LoadIdentity(dir string) (Identity, error) {
	path := filepath.Join(dir, identityFile)
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, errs.New(errs.NotFound, "join the master with: sitekeep-agent join --token T",
			"this agent has no identity in %s", dir)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("identity: %w", err)
	}
	id, err := decodeIdentity(text)
	if err != nil {
		return Identity{}, errs.New(errs.Corrupt, "join again with a new token", "identity %s: %w", path, err)
	}
	return id, nil
}

func (id Identity) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(id.Key)
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(details{Version: detailsVersion, Name: id.Name, Addresses: id.Addresses})
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, b := range []pem.Block{
		{Type: pemCertificate, Bytes: id.Certificate},
		{Type: pemKey, Bytes: key},
		{Type: pemCertificate, Bytes: id.CA},
		{Type: pemDetails, Bytes: about},
	} {
		out = append(out, pem.EncodeToMemory(&b)...)
	}
	return out, nil
}

func decodeIdentity(text []byte) (Identity, error) {
	blocks, err := pemBlocks(text, pemCertificate, pemKey, pemCertificate, pemDetails)
	if err != nil {
		return Identity{}, err
	}
	key, err := parseKey(blocks[1])
	if err != nil {
		return Identity{}, err
	}
	var about details
	if err := json.Unmarshal(blocks[3], &about); err != nil {
		return Identity{}, err
	}
	if about.Version != detailsVersion {
		return Identity{}, fmt.Errorf("it is of version %d, written by a newer program", about.Version)
	}
	id := Identity{Name: about.Name, Addresses: about.Addresses, Key: key, Certificate: blocks[0], CA: blocks[2]}
	_, _, err = id.check()
	return id, err
}

// LiveIdentity is an agent's identity in use: a Certifier whose certificate can
// be exchanged while connections are made.
type LiveIdentity struct {
	now atomic.Pointer[liveState]
}

type liveState struct {
	id   Identity
	cert *tls.Certificate
	ca   *x509.Certificate
}

// NewLiveIdentity returns id in use. It refuses one whose parts do not belong together.
func NewLiveIdentity(id Identity) (*LiveIdentity, error) {
	l := &LiveIdentity{}
	return l, l.Replace(id)
}

// Replace puts id in place of the present one for all handshakes to come.
func (l *LiveIdentity) Replace(id Identity) error {
	cert, ca, err := id.check()
	if err != nil {
		return fmt.Errorf("identity of agent %s: %w", id.Name, err)
	}
	l.now.Store(&liveState{id: id, cert: cert, ca: ca})
	return nil
}

// Identity returns the present one.
func (l *LiveIdentity) Identity() Identity { return l.now.Load().id }

// Current returns the certificate to show.
func (l *LiveIdentity) Current() (*tls.Certificate, error) { return l.now.Load().cert, nil }

// Authority returns the certificate of the CA.
func (l *LiveIdentity) Authority() *x509.Certificate { return l.now.Load().ca }
