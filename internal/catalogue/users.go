package catalogue

import (
	"context"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// User is somebody who signs in with a password.
type User struct {
	Name      string
	Password  string // its hash, in the PHC string format; the password is nowhere
	Role      APIRole
	Client    string // sees only this client's sites; empty for all
	CreatedAt time.Time
	ChangedAt time.Time // when the password was set
}

const userColumns = `name, phc, role, client, created_at, changed_at`

func scanUser(row scanner) (u User, err error) {
	err = row.Scan(&u.Name, &u.Password, &u.Role, &u.Client, timeInto{&u.CreatedAt}, timeInto{&u.ChangedAt})
	return u, err
}

func noUser(name string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep user list", "no user %q", name)
}

// CreateUser records a user; a name that is taken is errs.Exists.
func (c *Catalogue) CreateUser(ctx context.Context, u User) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO users (`+userColumns+`) VALUES (?, ?, ?, ?, ?, ?)`,
			u.Name, u.Password, u.Role, u.Client, nanos(u.CreatedAt), nanos(u.ChangedAt))
		if isClash(err) {
			return errs.New(errs.Exists, "choose another name, or set a password with: sitekeep user passwd "+u.Name, "user %q is there already", u.Name)
		}
		return err
	})
}

// User returns a user; an unknown name is errs.NotFound.
func (c *Catalogue) User(ctx context.Context, name string) (User, error) {
	return single(ctx, c.read, scanUser, func() error { return noUser(name) }, `SELECT `+userColumns+` FROM users WHERE name = ?`, name)
}

// Users returns all users by name.
func (c *Catalogue) Users(ctx context.Context) ([]User, error) {
	return collect(ctx, c.read, scanUser, `SELECT `+userColumns+` FROM users ORDER BY name`)
}

// SetUserPassword records another password's hash and ends the user's sessions.
func (c *Catalogue) SetUserPassword(ctx context.Context, name, hash string, now time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE users SET phc = ?, changed_at = ? WHERE name = ?`, hash, nanos(now), name)
		if err == nil && n == 0 {
			err = noUser(name)
		}
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM sessions WHERE user = ?`, name)
		return err
	})
}

// DeleteUser forgets a user, and ends the sessions.
func (c *Catalogue) DeleteUser(ctx context.Context, name string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `DELETE FROM users WHERE name = ?`, name)
		if err == nil && n == 0 {
			return noUser(name)
		}
		return err
	})
}

// Session is a signed-in user's.
type Session struct {
	Hash      []byte // SHA-256 of the cookie's value
	User      User
	CreatedAt time.Time
	SeenAt    time.Time // of the last request, some minutes inexact
}

// AddSession records a session of a user that is there; errs.NotFound if it is not, or if its password has changed
// since user was read.
func (c *Catalogue) AddSession(ctx context.Context, s Session) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `INSERT INTO sessions (hash, user, created_at, seen_at)
			SELECT ?, name, ?, ? FROM users WHERE name = ? AND phc = ?`,
			s.Hash, nanos(s.CreatedAt), nanos(s.SeenAt), s.User.Name, s.User.Password)
		if err != nil {
			return fmt.Errorf("record a session of %s: %w", s.User.Name, err)
		}
		if n == 0 {
			return noUser(s.User.Name)
		}
		return nil
	})
}

func scanSession(row scanner) (s Session, err error) {
	u := &s.User
	err = row.Scan(&s.Hash, timeInto{&s.CreatedAt}, timeInto{&s.SeenAt},
		&u.Name, &u.Password, &u.Role, &u.Client, timeInto{&u.CreatedAt}, timeInto{&u.ChangedAt})
	return s, err
}

// SessionByHash returns a session with its user as it is now; an unknown one is errs.Permission. Whether it has run out
// the caller decides.
func (c *Catalogue) SessionByHash(ctx context.Context, hash []byte) (Session, error) {
	none := func() error { return errs.New(errs.Permission, "sign in again", "the session has ended") }
	return single(ctx, c.read, scanSession, none, `SELECT s.hash, s.created_at, s.seen_at,
		u.name, u.phc, u.role, u.client, u.created_at, u.changed_at
		FROM sessions AS s JOIN users AS u ON u.name = s.user WHERE s.hash = ?`, hash)
}

// TouchSession records that a session was used. One that is gone stays gone.
func (c *Catalogue) TouchSession(ctx context.Context, hash []byte, now time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE sessions SET seen_at = ? WHERE hash = ?`, nanos(now), hash)
		return err
	})
}

// DeleteSession ends a session. It may be repeated.
func (c *Catalogue) DeleteSession(ctx context.Context, hash []byte) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM sessions WHERE hash = ?`, hash)
		return err
	})
}

// PurgeSessions removes those that were seen last, or begun, before the times.
func (c *Catalogue) PurgeSessions(ctx context.Context, seenBefore, createdBefore time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM sessions WHERE seen_at < ? OR created_at < ?`, nanos(seenBefore), nanos(createdBefore))
		return err
	})
}
