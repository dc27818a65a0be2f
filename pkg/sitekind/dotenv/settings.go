package dotenv

import (
	"errors"
	"strconv"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// The names of variables.
const (
	varDriver, varHost, varPort, varSocket = "DB_CONNECTION", "DB_HOST", "DB_PORT", "DB_SOCKET"
	varName, varUser, varPassword          = "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD"
	varPrefix, varCharset                  = "DB_PREFIX", "DB_CHARSET"
)

// layer is one place that holds all of a site's variables.
type layer interface {
	// where is the file that says the database, relative to Root.
	where() string
	// get returns a variable; ok is false when it is not there.
	get(name string) (text string, ok bool, err error)
	// urls are the variables that may hold an address, the first one first.
	urls() []string
	// check says whether values can be written, without doing it.
	check(values map[string]string) error
	// set writes those values that differ.
	set(values map[string]string) error
}

func problem(l layer, p sitekind.Problem, err error) error {
	return &sitekind.SettingsError{Problem: p, File: l.where(), What: "the database", Err: err}
}

// address returns the variable that holds the database's address, if one does.
func address(l layer) (name, text string, err error) {
	for _, name := range l.urls() {
		if text, _, err := l.get(name); err != nil || text != "" {
			return name, text, err
		}
	}
	return "", "", nil
}

// read reads the settings of a layer.
func read(l layer) (sitekind.Settings, error) {
	_, text, err := address(l)
	if err != nil {
		return sitekind.Settings{}, err
	}
	if text == "" {
		return readParts(l)
	}
	s, err := parseURL(text)
	if err != nil {
		return s, problem(l, kindOf(err), err)
	}
	s.Prefix, _, err = l.get(varPrefix)
	return s, err
}

func kindOf(err error) sitekind.Problem {
	if errors.Is(err, errOtherServer) {
		return sitekind.Refused
	}
	return sitekind.Broken
}

func readParts(l layer) (sitekind.Settings, error) {
	v := map[string]string{}
	for _, name := range []string{varDriver, varHost, varPort, varSocket, varName, varUser, varPassword, varPrefix, varCharset} {
		text, _, err := l.get(name)
		if err != nil {
			return sitekind.Settings{}, err
		}
		v[name] = text
	}
	switch driver := v[varDriver]; {
	case driver == "sqlite":
		return sitekind.Settings{}, sitekind.ErrNoSettings
	case driver != "" && !isMySQL(driver):
		return sitekind.Settings{}, problem(l, sitekind.Refused, errOtherServer)
	case v[varName] == "":
		return sitekind.Settings{}, problem(l, sitekind.Missing, errors.New(varName+" is not there"))
	}
	s := sitekind.Settings{Host: v[varHost], Socket: v[varSocket], Name: v[varName], User: v[varUser],
		Password: sitekind.NewSecret(v[varPassword]), Prefix: v[varPrefix], Charset: v[varCharset]}
	if s.Host == "" && s.Socket == "" {
		s.Host = "127.0.0.1" // Laravel's default.
	}
	if v[varPort] != "" {
		n, err := strconv.ParseUint(v[varPort], 10, 16)
		if err != nil {
			return s, problem(l, sitekind.Broken, errors.New(varPort+" is not a number up to 65535"))
		}
		s.Port = int(n)
	}
	return s, nil
}

// values says what is to be written into which variable of a layer. What says
// the same already is left as it is.
func values(l layer, s sitekind.Settings) (map[string]string, error) {
	now, err := read(l)
	if err != nil {
		return nil, err
	}
	name, text, err := address(l)
	if err != nil {
		return nil, err
	}
	if name != "" {
		if now.Host == s.Host && now.Port == s.Port && now.Socket == s.Socket &&
			now.Name == s.Name && now.User == s.User && now.Password.Equal(s.Password) {
			return nil, nil
		}
		changed, err := formatURL(text, s)
		if err != nil {
			return nil, problem(l, sitekind.Unwritable, err)
		}
		return map[string]string{name: changed}, nil
	}
	out := map[string]string{varName: s.Name, varUser: s.User, varPassword: s.Password.Reveal()}
	if now.Host != s.Host {
		out[varHost] = s.Host
	}
	if now.Port != s.Port {
		out[varPort] = portText(s.Port)
	}
	if now.Socket != s.Socket {
		out[varSocket] = s.Socket
	}
	return out, nil
}

func portText(port int) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(port)
}
