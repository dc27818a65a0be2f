package sitekind

import (
	"fmt"
	"strconv"
)

// EnvNames names variables of the web server's environment (fastcgi_param,
// SetEnv) from which a site reads its database and credentials. A name is
// empty where the settings file says the value itself.
type EnvNames struct {
	Host, Port, Socket, Name, User, Password string
	// Driver is of Drupal's, and always "mysql".
	Driver string
}

// Cloaked says whether the settings file leaves credentials to the web
// server's environment. Writing such settings leaves the file as it is where
// it reads the environment: whoever writes has to give Env.Pairs of the new
// settings to the virtual host, too.
func (s Settings) Cloaked() bool { return s.Env != EnvNames{} }

// EnvPair is a variable of the environment with its value.
type EnvPair struct {
	Name  string
	Value Secret
}

// Pairs returns the variables with the values of settings, in an order that is
// always the same. A variable that two settings share is there once.
func (n EnvNames) Pairs(s Settings) []EnvPair {
	var out []EnvPair
	seen := map[string]bool{"": true}
	for _, pair := range []EnvPair{
		{n.Host, NewSecret(s.Host)},
		{n.Port, NewSecret(portText(s.Port))},
		{n.Socket, NewSecret(s.Socket)},
		{n.Name, NewSecret(s.Name)},
		{n.User, NewSecret(s.User)},
		{n.Password, s.Password},
		{n.Driver, NewSecret("mysql")},
	} {
		if !seen[pair.Name] {
			seen[pair.Name] = true
			out = append(out, pair)
		}
	}
	return out
}

// Fill returns settings with the values that an environment gives; a variable
// that it has not leaves what there is.
func (n EnvNames) Fill(s Settings, env map[string]Secret) (Settings, error) {
	for _, f := range []struct {
		name string
		to   *string
	}{{n.Host, &s.Host}, {n.Socket, &s.Socket}, {n.Name, &s.Name}, {n.User, &s.User}} {
		if v, ok := env[f.name]; ok && f.name != "" {
			*f.to = v.Reveal()
		}
	}
	if v, ok := env[n.Password]; ok && n.Password != "" {
		s.Password = v
	}
	v, ok := env[n.Port]
	if !ok || n.Port == "" || v.IsEmpty() {
		return s, nil
	}
	port, err := strconv.ParseUint(v.Reveal(), 10, 16)
	if err != nil {
		return s, fmt.Errorf("the variable %s of the environment is not a port", n.Port)
	}
	s.Port = int(port)
	return s, nil
}
