package drupal

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// database is $databases['default']['default'] of a site.
type database struct {
	place  sitekind.Place
	layout layout
	chain  *phpfile.Chain
}

func openDatabase(p sitekind.Place, l layout) (*database, error) {
	d := &database{place: p, layout: l}
	var err error
	d.chain, err = phpfile.OpenChain(p, l.settings(), d.follow)
	return d, err
}

// element is one setting of the database.
type element struct {
	found phplit.Found
	// there is false when the array has no such element.
	there bool
}

func (e element) text() string { return e.found.Value.Text }

func (e element) env() string { return e.found.Value.Env }

// get looks for an element of the database's array.
func (d *database) get(c *phpfile.Chain, key ...string) (element, error) {
	found, err := c.Find("$databases", append([]string{"default", "default"}, key...)...)
	if e, ok := errors.AsType[*sitekind.SettingsError](err); ok && e.Problem == sitekind.Missing && e.Line == 0 {
		return element{}, nil
	}
	if err == nil && found.Value.Type == phplit.Array && len(key) > 0 && key[0] != "prefix" {
		err = d.problem(sitekind.NotLiteral, fmt.Sprintf("%s of the database is an array; write it as a plain string", key[0]))
	}
	return element{found: found, there: err == nil}, err
}

func (d *database) problem(p sitekind.Problem, what string) error {
	return &sitekind.SettingsError{Problem: p, File: d.layout.settings(), What: what}
}

// keys of the array, as in Drupal's default.settings.php.
const (
	keyDriver, keyName, keyUser, keyPassword = "driver", "database", "username", "password"
	keyHost, keyPort, keySocket              = "host", "port", "unix_socket"
	keyPrefix, keyCharset                    = "prefix", "charset"
)

// elements reads all of the database's settings.
func (d *database) elements(c *phpfile.Chain) (map[string]element, error) {
	out := map[string]element{}
	for _, key := range []string{keyDriver, keyName, keyUser, keyPassword, keyHost, keyPort, keySocket} {
		e, err := d.get(c, key)
		if err != nil {
			return nil, err
		}
		out[key] = e
	}
	switch driver := out[keyDriver]; {
	case !out[keyName].there:
		return nil, d.absent(c)
	case driver.there && driver.env() == "" && driver.text() != "mysql" && driver.text() != "mysqli":
		return nil, d.problem(sitekind.Refused, "the database is none of MySQL or MariaDB, which alone can be backed up")
	}
	return out, nil
}

// absent says why there is no database.
func (d *database) absent(c *phpfile.Chain) error {
	if _, err := c.Find("$db_url"); err == nil || problemOf(err) != sitekind.Missing {
		return d.problem(sitekind.Refused, "the database is said by $db_url, as in Drupal 6, which is not supported; upgrade the site, or use the kind generic")
	}
	return d.problem(sitekind.Missing, "$databases['default']['default'] says no database; the site may not be installed")
}

func problemOf(err error) sitekind.Problem {
	if e, ok := errors.AsType[*sitekind.SettingsError](err); ok {
		return e.Problem
	}
	return 0
}

func (d *database) read() (sitekind.Settings, error) { return d.readFrom(d.chain) }

func (d *database) readFrom(c *phpfile.Chain) (sitekind.Settings, error) {
	es, err := d.elements(c)
	if err != nil {
		return sitekind.Settings{}, err
	}
	s := sitekind.Settings{
		Host: es[keyHost].text(), Socket: es[keySocket].text(), Name: es[keyName].text(),
		User: es[keyUser].text(), Password: sitekind.NewSecret(es[keyPassword].text()),
		Env: sitekind.EnvNames{
			Host: es[keyHost].env(), Port: es[keyPort].env(), Socket: es[keySocket].env(), Name: es[keyName].env(),
			User: es[keyUser].env(), Password: es[keyPassword].env(), Driver: es[keyDriver].env(),
		},
		Prefix: d.optional(c, keyPrefix), Charset: d.optional(c, keyCharset),
	}
	if !es[keyHost].there && s.Socket == "" {
		s.Host = "localhost" // What PHP makes of none.
	}
	if s.Port, err = port(es[keyPort].text()); err != nil {
		return s, d.problem(sitekind.Broken, err.Error())
	}
	return s, nil
}

func port(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("the database's port is not a number up to 65535")
	}
	return int(n), nil
}

// optional reads what is no credential; empty if it is not plain. A prefix may
// be an array by table, whose default counts.
func (d *database) optional(c *phpfile.Chain, key string) string {
	e, err := d.get(c, key)
	if err == nil && e.found.Value.Type == phplit.Array {
		e, err = d.get(c, key, "default")
	}
	if err != nil || e.found.Value.Type == phplit.Array {
		return ""
	}
	return e.text()
}

// write puts settings into the files that say them last.
func (d *database) write(s sitekind.Settings) error {
	es, err := d.elements(d.chain)
	if err != nil {
		return err
	}
	now, err := d.read()
	if err != nil {
		return err
	}
	values := map[string]string{keyName: s.Name, keyUser: s.User, keyPassword: s.Password.Reveal()}
	if s.HasAddress() {
		values[keyHost], values[keyPort], values[keySocket] = s.Host, portText(s.Port), s.Socket
	} else {
		s.Host, s.Port, s.Socket = now.Host, now.Port, now.Socket
	}
	changes, err := d.changes(es, values)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		err = d.chain.Write(changes, func(c *phpfile.Chain) error { return d.readsBack(c, s, now.Env) })
	}
	if err != nil || !now.Cloaked() {
		return err
	}
	return d.writeDrush(s, now.Env)
}

func portText(port int) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(port)
}

// changes says what is to be written. What the environment gives is left, and
// so is what says the same already.
func (d *database) changes(es map[string]element, values map[string]string) ([]phpfile.Change, error) {
	var changes []phpfile.Change
	for _, key := range []string{keyName, keyUser, keyPassword, keyHost, keyPort, keySocket} {
		text, wanted := values[key]
		e := es[key]
		same := e.text() == text && (e.there || key != keyHost)
		if !e.there && key == keyHost && text == "localhost" {
			same = true
		}
		switch {
		case !wanted || e.env() != "" || same:
		case e.there: // An empty socket would be one for PHP; null is none.
			changes = append(changes, phpfile.Change{Found: e.found, Text: text, Null: key == keySocket && text == ""})
		default:
			array, err := d.chain.FindArray("$databases", "default", "default")
			if err != nil {
				return nil, d.problem(sitekind.Unwritable, "the database's array has no "+key+" and no place for it; write one")
			}
			changes = append(changes, phpfile.Change{Found: array, Key: key, Text: text})
		}
	}
	return changes, nil
}

// readsBack says whether the files will say what they are to say.
func (d *database) readsBack(c *phpfile.Chain, want sitekind.Settings, env sitekind.EnvNames) error {
	got, err := d.readFrom(c)
	if err != nil {
		return err
	}
	pairs := []struct{ env, got, want string }{
		{env.Host, got.Host, want.Host}, {env.Port, portText(got.Port), portText(want.Port)}, {env.Socket, got.Socket, want.Socket},
		{env.Name, got.Name, want.Name}, {env.User, got.User, want.User}, {env.Password, got.Password.Reveal(), want.Password.Reveal()},
	}
	for _, p := range pairs {
		if p.env == "" && p.got != p.want {
			return errors.New("they do not read back as they were written")
		}
	}
	return nil
}

// drushKeys are the keys of Aegir's drushrc.php, in $options.
type drushKeys struct{ env, key, text string }

func keysOf(env sitekind.EnvNames, s sitekind.Settings) []drushKeys {
	return []drushKeys{
		{env.Host, "db_host", s.Host}, {env.Port, "db_port", portText(s.Port)}, {env.Name, "db_name", s.Name},
		{env.User, "db_user", s.User}, {env.Password, "db_passwd", s.Password.Reveal()},
	}
}

func (d *database) openDrush() (*phpfile.Chain, error) {
	if !d.layout.aegir {
		return nil, nil
	}
	return phpfile.OpenChain(d.place, path.Join(d.layout.dir, drushFile), d.follow)
}

// uncloak reads from drushrc.php what the environment gives.
func (d *database) uncloak(s sitekind.Settings) (sitekind.Settings, error) {
	c, err := d.openDrush()
	if err != nil || c == nil {
		return s, err
	}
	texts := map[string]string{}
	for _, k := range keysOf(s.Env, s) {
		found, err := c.Find("$options", k.key)
		switch {
		case k.env == "":
			texts[k.key] = k.text
		case err == nil && found.Value.Env == "" && found.Value.Type != phplit.Array:
			texts[k.key] = found.Value.Text
		case problemOf(err) != sitekind.Missing && err != nil:
			return sitekind.Settings{}, err
		}
	}
	s.Host, s.Name, s.User = texts["db_host"], texts["db_name"], texts["db_user"]
	s.Password = sitekind.NewSecret(texts["db_passwd"])
	if s.Port, err = port(texts["db_port"]); err != nil {
		err = &sitekind.SettingsError{Problem: sitekind.Broken, File: path.Join(d.layout.dir, drushFile), What: err.Error()}
	}
	return s, err
}

// writeDrush keeps drushrc.php in step with what the environment gives.
func (d *database) writeDrush(s sitekind.Settings, env sitekind.EnvNames) error {
	c, err := d.openDrush()
	if err != nil || c == nil {
		return err
	}
	var changes []phpfile.Change
	for _, k := range keysOf(env, s) {
		found, err := c.Find("$options", k.key)
		if problemOf(err) == sitekind.Missing {
			continue
		}
		if err != nil {
			return err
		}
		if k.env != "" && found.Value.Env == "" && found.Value.Text != k.text {
			changes = append(changes, phpfile.Change{Found: found, Text: k.text})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return c.Write(changes, func(*phpfile.Chain) error { return nil })
}

var _ interface {
	sitekind.Kind
	sitekind.StructureOnly
	sitekind.CacheHinter
} = Kind{}
