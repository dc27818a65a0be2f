// Package e2e tests the two programs from end to end: a master, agents, real
// web and database servers of package bed, and faults. What the programs do is
// asked for with their commands and their public API, and judged with other
// means: GNU tar, the database's own client, requests to the pages, and a walk
// over what is left on the servers.
//
// It refuses to know how anything is done: no package of the programs is
// imported but the public API's messages.
//
//	go test -tags integration ./test/e2e
package e2e
