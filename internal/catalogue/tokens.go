package catalogue

import (
	"context"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// JoinToken lets one server join once.
type JoinToken struct {
	Name      string // of the server
	Roles     []model.Role
	Hash      []byte // of the token's secret; the secret is nowhere
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero until it is redeemed
}

// AddJoinToken records a token.
func (c *Catalogue) AddJoinToken(ctx context.Context, t JoinToken) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO join_tokens (hash, name, roles, created_at, expires_at, used_at) VALUES (?, ?, ?, ?, ?, 0)`,
			t.Hash, t.Name, jsonOf(t.Roles), nanos(t.CreatedAt), nanos(t.ExpiresAt))
		if isClash(err) {
			return errs.New(errs.Exists, "make another one", "this join token is there already")
		}
		return err
	})
}

func scanJoinToken(row scanner) (t JoinToken, err error) {
	err = row.Scan(&t.Hash, &t.Name, listInto[model.Role]{&t.Roles}, timeInto{&t.CreatedAt}, timeInto{&t.ExpiresAt}, timeInto{&t.UsedAt})
	return t, err
}

const joinTokenColumns = `hash, name, roles, created_at, expires_at, used_at`

// JoinTokens returns all tokens, newest first.
func (c *Catalogue) JoinTokens(ctx context.Context) ([]JoinToken, error) {
	return collect(ctx, c.read, scanJoinToken, `SELECT `+joinTokenColumns+` FROM join_tokens ORDER BY created_at DESC, name`)
}

// RedeemToken uses up the token with this hash, together with what also does
// (such as PutServer), or neither. A token that is unknown, expired at now, or
// used already is errs.Permission. Of any number of callers at the same time
// one succeeds.
func (c *Catalogue) RedeemToken(ctx context.Context, hash []byte, now time.Time, also ...Also) (t JoinToken, err error) {
	redeem := func(ctx context.Context, tx *Tx) error {
		t, err = single(ctx, tx.q, scanJoinToken, func() error { return badToken("is not known") },
			`SELECT `+joinTokenColumns+` FROM join_tokens WHERE hash = ?`, hash)
		switch {
		case err != nil:
			return err
		case !t.UsedAt.IsZero():
			return badToken("was used already")
		case !now.Before(t.ExpiresAt):
			return badToken("has expired")
		}
		t.UsedAt = now.UTC()
		_, err = tx.exec(ctx, `UPDATE join_tokens SET used_at = ? WHERE hash = ?`, nanos(now), hash)
		return err
	}
	if err := c.update(ctx, append([]Also{redeem}, also...)...); err != nil {
		return JoinToken{}, err
	}
	return t, nil
}

func badToken(why string) error {
	return errs.New(errs.Permission, "make a new one on the master with: sitekeep server token NAME", "the join token %s", why)
}

// PurgeJoinTokens removes tokens that were used or expired before a time.
func (c *Catalogue) PurgeJoinTokens(ctx context.Context, before time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM join_tokens WHERE expires_at < ? OR (used_at <> 0 AND used_at < ?)`, nanos(before), nanos(before))
		return err
	})
}

// APIRole is what the bearer of an API token may do.
type APIRole string

// The roles.
const (
	APIAdmin    APIRole = "admin"
	APIOperator APIRole = "operator"
	APIViewer   APIRole = "viewer"
)

// APIToken lets automation in from elsewhere.
type APIToken struct {
	Name      string
	Hash      []byte // of the token's secret; the secret is nowhere
	Role      APIRole
	Client    string // sees only this client's sites; empty for all
	CreatedAt time.Time
	RevokedAt time.Time // zero while it is good
}

const apiTokenColumns = `name, hash, role, client, created_at, revoked_at`

func scanAPIToken(row scanner) (t APIToken, err error) {
	err = row.Scan(&t.Name, &t.Hash, &t.Role, &t.Client, timeInto{&t.CreatedAt}, timeInto{&t.RevokedAt})
	return t, err
}

// CreateAPIToken records a token; a name that is taken is errs.Exists.
func (c *Catalogue) CreateAPIToken(ctx context.Context, t APIToken) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO api_tokens (`+apiTokenColumns+`) VALUES (?, ?, ?, ?, ?, 0)`,
			t.Name, t.Hash, t.Role, t.Client, nanos(t.CreatedAt))
		if isClash(err) {
			return errs.New(errs.Exists, "choose another name", "API token %q is there already", t.Name)
		}
		return err
	})
}

// APITokenByHash returns the token with this hash. One that is unknown or
// revoked is errs.Permission.
func (c *Catalogue) APITokenByHash(ctx context.Context, hash []byte) (APIToken, error) {
	denied := func() error {
		return errs.New(errs.Permission, "ask an administrator of the master for a new one", "this API token is not known or is revoked")
	}
	return single(ctx, c.read, scanAPIToken, denied,
		`SELECT `+apiTokenColumns+` FROM api_tokens WHERE hash = ? AND revoked_at = 0`, hash)
}

// APITokens returns all tokens by name, the revoked ones too.
func (c *Catalogue) APITokens(ctx context.Context) ([]APIToken, error) {
	return collect(ctx, c.read, scanAPIToken, `SELECT `+apiTokenColumns+` FROM api_tokens ORDER BY name`)
}

// RevokeAPIToken makes a token useless at once. It may be repeated.
func (c *Catalogue) RevokeAPIToken(ctx context.Context, name string, now time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE api_tokens SET revoked_at = CASE revoked_at WHEN 0 THEN ? ELSE revoked_at END WHERE name = ?`, nanos(now), name)
		if err == nil && n == 0 {
			return errs.New(errs.NotFound, "list them first", "no API token %q", name)
		}
		return err
	})
}
