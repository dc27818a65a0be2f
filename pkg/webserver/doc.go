// Package webserver does to a web server what keeping a site needs: it writes
// virtual hosts, puts sites into maintenance, tests and reloads the
// configuration, and asks sites over HTTP whether they answer.
//
// A Server works on one directory of virtual hosts. The kinds of web server
// differ in a Kind each, which is a template and a way to quote values.
// Everything else is the same for all of them.
//
// Files in the directory of virtual hosts, NAME being the site's main domain:
//
//	NAME.conf                         the virtual host; the web server includes *.conf
//	NAME.conf.sitekeep-old-TOKEN      the virtual host as it was before the change TOKEN
//	NAME.conf.sitekeep-none-TOKEN     there was no virtual host before the change TOKEN
//	NAME.conf.sitekeep-tmp-TOKEN      a virtual host that is being written
//	NAME.maintenance                  the site answers 503 while this exists: who holds it and until when
//	NAME.maintenance-PASS             a probe that sends PASS in a header sees the site all the same
//	NAME.inc                          what a virtual host that is not ours includes to know maintenance
//	sitekeep-allow.conf               who passes that, for nginx
//	sitekeep-opcache-reset.php        has PHP forget what it compiled
//	sitekeep-php.conf                 runs that script where the web server runs PHP itself (mod_php),
//	sitekeep-php.pass-PASS            for whoever sends PASS in a header
//	sitekeep-maintenance.html         what Apache shows in place of a 503 page that is gone
//	sitekeep.key                      the key under which environments go into generations
//
// It refuses to know what a site contains, what a task or a step is, how
// agents and masters speak, and where backups lie.
package webserver
