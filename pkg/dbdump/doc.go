// Package dbdump takes the database of one site out of a MariaDB or MySQL
// server as one stream of plain SQL, and puts such a stream into a database.
// To that end it also makes, looks at and removes databases and accounts.
//
// It refuses to know what a site is, where a dump is kept, how it is framed,
// compressed or sent, and which databases an agent may touch: the caller
// checks its allow-list before it calls.
//
// A dump is read with the tokenizer of this package, never by lines, so that
// rows which look like SQL keep every byte. Dumps hold no CREATE DATABASE,
// USE, GTID or DEFINER, and import under any database name.
package dbdump
