// Package archive makes, reads, checks and unpacks Sitekeep tarballs.
//
// A tarball is an ordinary compressed tar file cut into frames that are
// compressed independently, with an index behind the end of the tar stream that
// tar does not see. FORMAT.md beside this file describes it byte by byte.
//
// The frame is what travels: a [Source] walks a site and emits frames, a
// [DumpFramer] does the same for SQL, an [Assembler] makes a file of them, a
// [Reader] takes them out again and an [Extractor] turns them back into files.
// Frames that a base already has travel as a [Reference].
//
// The package knows files, bytes and paths. It refuses to know what a site, a
// server or a task is, how frames are carried between machines, where tarballs
// are stored, what SQL means, and it never opens a network connection.
package archive
