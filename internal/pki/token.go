package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// The text of a token is a prefix and base32 (RFC 4648, lower case, no padding)
// of: one byte of version, the CA's fingerprint (32), the secret (20), for a
// join token the number of addresses and each with its length before it (one
// byte each), and the first 4 bytes of the SHA-256 over the prefix and all this.
const (
	joinPrefix   = "skj_"
	apiPrefix    = "skt_"
	tokenVersion = 1
	secretSize   = 20
	checkSize    = 4
	maxAddresses = 8
	maxToken     = 4096
)

// JoinTokenValidity is for how long a join token is good by default: long
// enough to walk over to the other terminal, too short to lie about in a wiki.
const JoinTokenValidity = time.Hour

// SecretHash is what is kept of a token on the master: the SHA-256 of its
// secret. The secret is 160 random bits, so no salt or stretching is needed.
type SecretHash [sha256.Size]byte

// Equal compares in constant time.
func (h SecretHash) Equal(o SecretHash) bool { return subtle.ConstantTimeCompare(h[:], o[:]) == 1 }

// String is hexadecimal.
func (h SecretHash) String() string { return hex.EncodeToString(h[:]) }

// ParseSecretHash is the reverse of String.
func ParseSecretHash(s string) (SecretHash, error) {
	var h SecretHash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("not the hash of a token's secret")
	}
	copy(h[:], b)
	return h, nil
}

// Errors of tokens.
var (
	ErrTokenUsed    = errors.New("the token has been used already")
	ErrTokenExpired = errors.New("the token has expired")
)

// JoinGrant is what the master keeps of a join token. Using it up must be one
// transaction with whatever records the new agent.
type JoinGrant struct {
	Hash SecretHash
	// Server is the name that the agent gets.
	Server    string
	ExpiresAt time.Time
	// UsedAt is zero until the token has been used.
	UsedAt time.Time
}

// Usable returns nil, or an error that wraps ErrTokenUsed or ErrTokenExpired.
func (g JoinGrant) Usable(now time.Time) error {
	const hint = "get a new one on the master with: sitekeep server token NAME"
	switch {
	case !g.UsedAt.IsZero():
		return errs.New(errs.Permission, hint, "join %s: %w", g.Server, ErrTokenUsed)
	case !now.Before(g.ExpiresAt):
		return errs.New(errs.Permission, hint, "join %s: %w", g.Server, ErrTokenExpired)
	}
	return nil
}

// secret is a token's; it shows itself in no log.
type secret [secretSize]byte

func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

func (s secret) hash() SecretHash { return sha256.Sum256(s[:]) }

// JoinToken lets one server join once. Its String is safe to log; Text is not.
type JoinToken struct {
	// Addresses are where the master may be reached, host:port, the best first.
	Addresses   []string
	Fingerprint Fingerprint
	secret      secret
}

// NewJoinToken makes a token for a master with these addresses and this CA.
func NewJoinToken(addresses []string, fp Fingerprint) (JoinToken, error) {
	t := JoinToken{Addresses: addresses, Fingerprint: fp, secret: newSecret()}
	return t, t.check()
}

func (t JoinToken) check() error {
	if len(t.Addresses) == 0 || len(t.Addresses) > maxAddresses {
		return fmt.Errorf("a join token has 1 to %d addresses, not %d", maxAddresses, len(t.Addresses))
	}
	for _, a := range t.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" || len(a) > 255 {
			return errs.New(errs.Usage, "write it as host:port, such as backup.example.com:7440", "%q is not an address for a join token", a)
		}
	}
	return nil
}

// Text is the token itself, secret included: one line of letters, digits and one underscore.
func (t JoinToken) Text() string {
	body := append(t.Fingerprint[:], t.secret[:]...)
	body = append(body, byte(len(t.Addresses)))
	for _, a := range t.Addresses {
		body = append(append(body, byte(len(a))), a...)
	}
	return encodeToken(joinPrefix, body)
}

// Hash is what the master keeps.
func (t JoinToken) Hash() SecretHash { return t.secret.hash() }

// String says what the token is for, without the secret.
func (t JoinToken) String() string {
	return fmt.Sprintf("join token for %s (secret not shown)", strings.Join(t.Addresses, ", "))
}

// GoString is String.
func (t JoinToken) GoString() string { return t.String() }

// ParseJoinToken reads what Text wrote; space around it does not matter. Its
// error, of kind errs.Usage, says whether it was mistyped or is something else,
// and holds nothing of the token.
func ParseJoinToken(text string) (JoinToken, error) {
	body, err := decodeToken(joinPrefix, "a join token", text)
	if err != nil {
		return JoinToken{}, err
	}
	var t JoinToken
	rest := body[copy(t.Fingerprint[:], body):]
	rest = rest[copy(t.secret[:], rest):]
	if t.Addresses, err = parseAddresses(rest); err == nil {
		err = t.check()
	}
	if err != nil {
		return JoinToken{}, badToken("a join token", "it is damaged")
	}
	return t, nil
}

func parseAddresses(b []byte) ([]string, error) {
	var out []string
	if len(b) == 0 {
		return nil, errors.New("no addresses")
	}
	n, b := int(b[0]), b[1:]
	for range n {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return nil, errors.New("cut short")
		}
		size := 1 + int(b[0])
		out, b = append(out, string(b[1:size])), b[size:]
	}
	if len(b) != 0 {
		return nil, errors.New("trailing bytes")
	}
	return out, nil
}

// APIToken lets an operator's command call the master from elsewhere. Its
// String is safe to log; Text is not.
type APIToken struct {
	Fingerprint Fingerprint
	secret      secret
}

// NewAPIToken makes a token for a master with this CA.
func NewAPIToken(fp Fingerprint) APIToken { return APIToken{Fingerprint: fp, secret: newSecret()} }

// Text is the token itself, secret included: one line of letters, digits and one underscore.
func (t APIToken) Text() string {
	return encodeToken(apiPrefix, append(t.Fingerprint[:], t.secret[:]...))
}

// Hash is what the master keeps.
func (t APIToken) Hash() SecretHash { return t.secret.hash() }

// String is without the secret.
func (t APIToken) String() string { return "API token (secret not shown)" }

// GoString is String.
func (t APIToken) GoString() string { return t.String() }

// ParseAPIToken reads what Text wrote, with errors like ParseJoinToken's.
func ParseAPIToken(text string) (APIToken, error) {
	body, err := decodeToken(apiPrefix, "an API token", text)
	if err != nil {
		return APIToken{}, err
	}
	if len(body) != len(Fingerprint{})+secretSize {
		return APIToken{}, badToken("an API token", "it is damaged")
	}
	var t APIToken
	copy(t.secret[:], body[copy(t.Fingerprint[:], body):])
	return t, nil
}

func tokenEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

func tokenCheck(prefix string, b []byte) []byte {
	sum := sha256.Sum256(append([]byte(prefix), b...))
	return sum[:checkSize]
}

func encodeToken(prefix string, body []byte) string {
	b := append([]byte{tokenVersion}, body...)
	return prefix + tokenEncoding().EncodeToString(append(b, tokenCheck(prefix, b)...))
}

func decodeToken(prefix, what, text string) ([]byte, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	payload, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, badToken(what, fmt.Sprintf("it does not begin with %s", prefix))
	}
	const mistyped = "it is mistyped or cut off: its checksum is wrong"
	b, err := tokenEncoding().DecodeString(payload)
	if err != nil || len(payload) > maxToken || len(b) < 1+len(Fingerprint{})+secretSize+checkSize {
		return nil, badToken(what, mistyped)
	}
	b, sum := b[:len(b)-checkSize], b[len(b)-checkSize:]
	// Base32 can write the same bytes in several ways; only ours is accepted.
	if string(tokenCheck(prefix, b)) != string(sum) || encodeToken(prefix, b[1:]) != text && b[0] == tokenVersion {
		return nil, badToken(what, mistyped)
	}
	if b[0] != tokenVersion {
		return nil, badToken(what, fmt.Sprintf("it is of version %d, made by a newer master", b[0]))
	}
	return b[1:], nil
}

func badToken(what, why string) error {
	return errs.New(errs.Usage, "copy the whole token again", "this is not %s: %s", what, why)
}
