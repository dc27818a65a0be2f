// Package transport tests the way of a backup between a master and its agents
// over real connections on loopback, which it breaks. The parts are the
// programs' own, in one process; the database is made up.
package transport
