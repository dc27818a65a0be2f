// Package account knows the people who sign in with a password, and their
// sessions. It refuses to know what a role may do, and how a session's token
// reaches the caller and comes back.
package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// How long sessions last.
const (
	// Idle ends a session that nobody uses.
	Idle = 2 * time.Hour
	// Longest ends every session.
	Longest = 12 * time.Hour

	// touchEvery spares a write with every request.
	touchEvery  = time.Minute
	tokenSize   = 32
	hashingMost = 2 // at a time; each takes 19 MiB
)

// Book is the users and their sessions. It is safe for use by many goroutines.
type Book struct {
	records *catalogue.Catalogue
	now     func() time.Time
	limiter limiter
	hashing chan struct{}
	decoy   string // see decoy: a name that is not known takes as long as one that is
}

// New returns a book over the catalogue's records.
func New(records *catalogue.Catalogue, now func() time.Time) *Book {
	return &Book{
		records: records, now: now, limiter: limiter{counts: map[string]count{}}, hashing: make(chan struct{}, hashingMost),
		decoy: decoy(),
	}
}

// SignIn begins a session and returns its token, which is a secret. A wrong name and a wrong password are the same
// errs.Permission; after too many from the same address, or for the same user, it is errs.Precondition with no look at
// the password. The audit log has every attempt that was looked at.
func (b *Book) SignIn(ctx context.Context, name, password, address string) (token string, err error) {
	if wait := b.limiter.take(name, address, b.now()); wait > 0 {
		return "", errs.New(errs.Precondition, "wait "+wait.Round(time.Minute).String()+", or let an admin look at the log", "there were too many attempts to sign in")
	}
	user, err := b.checked(ctx, name, password)
	if err := errors.Join(err, b.note(ctx, user, address, err)); err != nil {
		return "", err
	}
	b.limiter.good(name, address)
	now := b.now()
	token = newToken()
	return token, b.records.AddSession(ctx, catalogue.Session{Hash: hashOf(token), User: user, CreatedAt: now, SeenAt: now})
}

// note puts an attempt into the audit log. The name that was tried is in it only if it is a user's: people type
// passwords there.
func (b *Book) note(ctx context.Context, user catalogue.User, address string, refused error) error {
	e := catalogue.AuditEntry{Time: b.now(), Who: "user:" + user.Name, Role: string(user.Role), Method: "sign in", Subject: address, Outcome: "ok"}
	if refused != nil {
		e.Outcome = errs.KindOf(refused).String()
	}
	return b.records.AddAudit(ctx, e)
}

func (b *Book) checked(ctx context.Context, name, password string) (catalogue.User, error) {
	user, err := b.records.User(ctx, name)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return user, err
	}
	hash := user.Password
	if err != nil {
		hash = b.decoy
	}
	select {
	case b.hashing <- struct{}{}:
		defer func() { <-b.hashing }()
	case <-ctx.Done():
		return user, ctx.Err()
	}
	if len(password) > maxPasswordBytes || !Matches(hash, password) || err != nil {
		return user, errs.New(errs.Permission, "try again; an admin sets a new password with: sitekeep user passwd NAME", "name or password is wrong")
	}
	return user, nil
}

func newToken() string {
	secret := make([]byte, tokenSize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program if it cannot
	return base64.RawURLEncoding.EncodeToString(secret)
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Who returns the user whose session it is, as the catalogue has the user now. A session that is unknown or has run out
// is errs.Permission.
func (b *Book) Who(ctx context.Context, token string) (catalogue.User, error) {
	s, err := b.records.SessionByHash(ctx, hashOf(token))
	if err != nil {
		return catalogue.User{}, err
	}
	now := b.now()
	if now.Sub(s.SeenAt) >= Idle || now.Sub(s.CreatedAt) >= Longest {
		return catalogue.User{}, errs.New(errs.Permission, "sign in again", "the session has ended")
	}
	if now.Sub(s.SeenAt) >= touchEvery {
		err = b.records.TouchSession(ctx, s.Hash, now)
	}
	return s.User, err
}

// SignOut ends a session. It may be repeated.
func (b *Book) SignOut(ctx context.Context, token string) error {
	return b.records.DeleteSession(ctx, hashOf(token))
}

// Purge removes sessions that have run out.
func (b *Book) Purge(ctx context.Context) error {
	now := b.now()
	return b.records.PurgeSessions(ctx, now.Add(-Idle), now.Add(-Longest))
}
