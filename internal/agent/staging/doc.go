// Package staging keeps the place beside a live site in which a restore makes
// its tree: for a root /var/www/x and a task T it is /var/www/.sitekeep-T/x,
// in a directory that only the agent's user may enter. It makes the place,
// swaps the tree in it with the live one atomically, and removes it.
//
// Everything happens relative to open directories, so that a path which
// changes meanwhile changes nothing. The package refuses to know what is in a
// tree, and where a site may lie.
package staging
