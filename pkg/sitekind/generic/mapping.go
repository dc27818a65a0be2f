package generic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
)

// mappingFile says where a site keeps its settings.
const mappingFile = ".sitekeep.yaml"

// mapping is the section settings of the file.
type mapping struct {
	File     string `yaml:"file"`
	Format   string `yaml:"format"`
	Name     string `yaml:"name"`
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	Host     string `yaml:"host"`
	Port     string `yaml:"port"`
	Socket   string `yaml:"socket"`
	Prefix   string `yaml:"prefix"`
	Charset  string `yaml:"charset"`
}

// settingsFile is one format of a settings file.
type settingsFile interface {
	// Get returns the value of a key.
	Get(key string) (string, error)
	// Set writes the values that differ, all at once.
	Set(values map[string]string) error
}

// readMapping reads the site's file. That there is none, or that it describes
// no settings, is sitekind.ErrNoSettings.
func readMapping(p sitekind.Place) (mapping, error) {
	name := p.InSite(mappingFile)
	if there, err := p.Exists(name); err != nil || !there {
		return mapping{}, errors.Join(err, sitekind.ErrNoSettings)
	}
	data, err := sitekind.ReadFile(p, name)
	if err != nil {
		return mapping{}, err
	}
	var file struct {
		Settings *mapping `yaml:"settings"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return mapping{}, &sitekind.SettingsError{Problem: sitekind.Broken, File: name, What: "it cannot be read", Err: err}
	}
	if file.Settings == nil {
		return mapping{}, sitekind.ErrNoSettings
	}
	if err := file.Settings.validate(); err != nil {
		return mapping{}, &sitekind.SettingsError{Problem: sitekind.Broken, File: name, What: "it does not describe settings", Err: err}
	}
	return *file.Settings, nil
}

func (m mapping) validate() error {
	var errs []error
	if m.Format != "php" && m.Format != "lines" {
		errs = append(errs, fmt.Errorf("format: %q is unknown; there are: php, lines", m.Format))
	}
	if !filepath.IsLocal(m.File) {
		errs = append(errs, fmt.Errorf("file: %q is not a path in the site's directory", m.File))
	}
	for field, key := range map[string]string{"name": m.Name, "user": m.User, "password": m.Password} {
		if key == "" {
			errs = append(errs, fmt.Errorf("%s: is missing", field))
		}
	}
	if m.Host == "" && (m.Port != "" || m.Socket != "") {
		errs = append(errs, errors.New("host: is missing, though port or socket is there"))
	}
	keys := map[string]bool{}
	for _, key := range m.keys() {
		if keys[key] {
			errs = append(errs, fmt.Errorf("the key %q is there twice", key))
		}
		keys[key] = true
	}
	return errors.Join(errs...)
}

func (m mapping) keys() []string {
	var out []string
	for _, key := range []string{m.Name, m.User, m.Password, m.Host, m.Port, m.Socket, m.Prefix, m.Charset} {
		if key != "" {
			out = append(out, key)
		}
	}
	return out
}

func open(ctx context.Context, p sitekind.Place) (mapping, settingsFile, error) {
	if err := ctx.Err(); err != nil {
		return mapping{}, nil, err
	}
	m, err := readMapping(p)
	if err != nil {
		return mapping{}, nil, err
	}
	name := p.InSite(m.File)
	if m.Format == "php" {
		f, err := phpfile.Open(p, name)
		return m, f, err
	}
	f, err := openLines(p, name)
	return m, f, err
}

func (m mapping) read(p sitekind.Place, f settingsFile) (sitekind.Settings, error) {
	var errs []error
	get := func(key string) string {
		if key == "" {
			return ""
		}
		text, err := f.Get(key)
		errs = append(errs, err)
		return text
	}
	s := sitekind.Settings{
		Name:     get(m.Name),
		User:     get(m.User),
		Password: sitekind.NewSecret(get(m.Password)),
		Socket:   get(m.Socket),
		Prefix:   get(m.Prefix),
		Charset:  get(m.Charset),
	}
	host, port := get(m.Host), get(m.Port)
	if err := errors.Join(errs...); err != nil {
		return sitekind.Settings{}, err
	}
	if err := m.readAddress(&s, host, port); err != nil {
		return sitekind.Settings{}, &sitekind.SettingsError{Problem: sitekind.Broken, File: p.InSite(m.File), What: "the database's address", Err: err}
	}
	return s, nil
}

// readAddress takes from the host what has no key of its own.
func (m mapping) readAddress(s *sitekind.Settings, host, port string) error {
	h, inHost, socket, err := sitekind.ParseAddress(host)
	if err != nil {
		return err
	}
	s.Host, s.Port = h, inHost
	if s.Socket == "" {
		s.Socket = socket
	}
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return errors.New("the port is not a number up to 65535")
	}
	s.Port = int(n)
	return nil
}

// values says what is to be written under which key.
func (m mapping) values(p sitekind.Place, f settingsFile, s sitekind.Settings) (map[string]string, error) {
	values := map[string]string{m.Name: s.Name, m.User: s.User, m.Password: s.Password.Reveal()}
	now, err := m.read(p, f)
	if err != nil {
		return nil, err
	}
	same := now.Host == s.Host && now.Port == s.Port && now.Socket == s.Socket
	if !s.HasAddress() || same {
		return values, nil
	}
	if err := m.writeAddress(values, s); err != nil {
		return nil, &sitekind.SettingsError{Problem: sitekind.Unwritable, File: p.InSite(m.File), What: "the database's address", Err: err}
	}
	return values, nil
}

func (m mapping) writeAddress(values map[string]string, s sitekind.Settings) error {
	if m.Host == "" {
		return fmt.Errorf("%s names no key for the host; add one", mappingFile)
	}
	port, socket := s.Port, s.Socket
	if m.Port != "" {
		values[m.Port] = portText(port)
		port = 0
	}
	if m.Socket != "" {
		values[m.Socket] = socket
		socket = ""
	}
	text, err := sitekind.FormatAddress(s.Host, port, socket)
	values[m.Host] = text
	return err
}

func portText(port int) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(port)
}
