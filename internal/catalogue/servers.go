package catalogue

import (
	"context"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const serverColumns = `name, roles, address, dial_out, revoked, serial, not_after, joined_at`

func scanServer(row scanner) (s model.Server, err error) {
	err = row.Scan(&s.Name, listInto[model.Role]{&s.Roles}, &s.Address, &s.DialOut, &s.Revoked, &s.Serial,
		timeInto{&s.NotAfter}, timeInto{&s.JoinedAt})
	return s, err
}

func noServer(name string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep server list", "no server %q", name)
}

// CreateServer adds a server; a name that is taken is errs.Exists.
func (c *Catalogue) CreateServer(ctx context.Context, s model.Server) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		err := tx.insertServer(ctx, "INSERT", s)
		if isClash(err) {
			return errs.New(errs.Exists, "look at it with: sitekeep server show "+s.Name, "server %q is there already", s.Name)
		}
		return err
	})
}

// PutServer adds a server or replaces what is recorded of it, its revocation
// too, and remembers its certificate's serial: a join, or a join again.
func (c *Catalogue) PutServer(ctx context.Context, s model.Server) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.PutServer(ctx, s) })
}

// PutServer is Catalogue.PutServer within a transaction.
func (tx *Tx) PutServer(ctx context.Context, s model.Server) error {
	if err := tx.upsertServer(ctx, s); err != nil {
		return fmt.Errorf("record server %s: %w", s.Name, err)
	}
	return tx.putCertificate(ctx, s.Name, s.Serial, s.NotAfter)
}

func (tx *Tx) upsertServer(ctx context.Context, s model.Server) error {
	const suffix = ` ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, address = excluded.address,
		dial_out = excluded.dial_out, revoked = excluded.revoked, serial = excluded.serial,
		not_after = excluded.not_after, joined_at = excluded.joined_at`
	return tx.insertServer(ctx, "INSERT", s, suffix)
}

func (tx *Tx) insertServer(ctx context.Context, verb string, s model.Server, suffix ...string) error {
	query := verb + ` INTO servers (` + serverColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	for _, more := range suffix {
		query += more
	}
	_, err := tx.exec(ctx, query, s.Name, jsonOf(s.Roles), s.Address, s.DialOut, s.Revoked, s.Serial,
		nanos(s.NotAfter), nanos(s.JoinedAt))
	return err
}

// Server returns a server; an unknown name is errs.NotFound.
func (c *Catalogue) Server(ctx context.Context, name string) (model.Server, error) {
	return serverIn(ctx, c.read, name)
}

func serverIn(ctx context.Context, q querier, name string) (model.Server, error) {
	return single(ctx, q, scanServer, func() error { return noServer(name) },
		`SELECT `+serverColumns+` FROM servers WHERE name = ?`, name)
}

// Servers returns all servers by name, the revoked ones too.
func (c *Catalogue) Servers(ctx context.Context) ([]model.Server, error) {
	return collect(ctx, c.read, scanServer, `SELECT `+serverColumns+` FROM servers ORDER BY name`)
}

// UpdateServer reads a server, lets change alter it, and writes it back, with
// nothing in between. The name stays what it is.
func (c *Catalogue) UpdateServer(ctx context.Context, name string, change func(*model.Server) error) (s model.Server, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		if s, err = serverIn(ctx, tx.q, name); err != nil {
			return err
		}
		if err := change(&s); err != nil {
			return err
		}
		s.Name = name
		return tx.upsertServer(ctx, s)
	})
	return s, err
}

// RecordCertificate notes a renewed certificate of a server. A server that is
// revoked gets none: errs.Permission.
func (c *Catalogue) RecordCertificate(ctx context.Context, server, serial string, notAfter time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		s, err := serverIn(ctx, tx.q, server)
		if err != nil {
			return err
		}
		if s.Revoked {
			return errs.New(errs.Permission, "join it again with a new token: sitekeep server token "+server, "server %q is revoked", server)
		}
		s.Serial, s.NotAfter = serial, notAfter
		return tx.PutServer(ctx, s)
	})
}

func (tx *Tx) putCertificate(ctx context.Context, server, serial string, notAfter time.Time) error {
	if serial == "" {
		return nil
	}
	_, err := tx.exec(ctx, `INSERT INTO certificates (serial, server, not_after, revoked) VALUES (?, ?, ?, 0)
		ON CONFLICT (serial) DO UPDATE SET not_after = excluded.not_after`, serial, server, nanos(notAfter))
	return err
}

// RevokeServer marks a server and every certificate it ever had as revoked,
// and withdraws its unused join tokens. It may be repeated.
func (c *Catalogue) RevokeServer(ctx context.Context, name string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE servers SET revoked = 1 WHERE name = ?`, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return noServer(name)
		}
		if _, err := tx.exec(ctx, `UPDATE certificates SET revoked = 1 WHERE server = ?`, name); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM join_tokens WHERE name = ? AND used_at = 0`, name)
		return err
	})
}

// CertificateRevoked reports whether the certificate with this serial
// (hexadecimal, as recorded) was revoked, even if its server has joined again
// since. An unknown serial is not revoked.
func (c *Catalogue) CertificateRevoked(ctx context.Context, serial string) (bool, error) {
	var n int
	err := c.read.QueryRowContext(ctx, `SELECT count(*) FROM certificates WHERE serial = ? AND revoked = 1`, serial).Scan(&n)
	return n > 0, classify(err)
}
