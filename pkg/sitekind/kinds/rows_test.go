package kinds

import (
	"github.com/sitekeep/sitekeep/pkg/sitekind/dotenv"
	"github.com/sitekeep/sitekeep/pkg/sitekind/drupal"
	"github.com/sitekeep/sitekeep/pkg/sitekind/generic"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
	"github.com/sitekeep/sitekeep/pkg/sitekind/wordpress"
)

func bare(s string) string { return s }

const wpConfig = "<?php\r\n" +
	"/** define( 'DB_NAME', 'wrong' ); */\n" +
	"// define( 'DB_NAME', 'wrong' );\n" +
	"# define( 'DB_NAME', 'wrong' );\n" +
	"define( 'DB_NAME', @NAME@ ); // the name\n" +
	"if ( ! defined( 'DB_USER' ) ) { define(\"DB_USER\",@USER@); }\n" +
	"const DB_PASSWORD = @PASSWORD@;\r\n" +
	"defined('DB_HOST') || define( 'DB_HOST' , @HOST@ );\n" +
	"define( 'DB_CHARSET', \"utf8\" . 'mb4' );\n" +
	"define( 'DB_COLLATE', '' );\n" +
	"$table_prefix = <<<'P'\nwp7_\nP;\n" +
	"define( 'AUTH_KEY', 'define(\\'DB_NAME\\', \\'x\\');' );\n" +
	"if ( ! defined( 'ABSPATH' ) ) { define( 'ABSPATH', __DIR__ . '/' ); }\n" +
	"require_once ABSPATH . 'wp-settings.php';\n?>\n\xff\n"

const wpVersion = "<?php\n/** @global string $wp_version */\n$wp_version = '6.1.9';\n"

// drupal7 is in the shape of Drupal 7's settings.php.
const drupal7 = "<?php\n\n" +
	"/**\n * @file\n *   $databases['default']['default'] = array(\n *     'database' => 'wrong',\n *   );\n */\n\n" +
	"# $databases['default']['default']['password'] = 'wrong';\n" +
	"$databases = array (\n  'default' => \n  array (\n    'default' => \n    array (\n" +
	"      'database' => @NAME@,\n      'username' => @USER@, // 'username' => 'wrong',\n      'password' => @PASSWORD@,\r\n" +
	"      'host' => @HOST@,\n      'port' => @PORT@,\n      'unix_socket' => @SOCKET@,\n      'driver' => 'mysql',\n" +
	"      'prefix' => array('default' => 'wp7_', 'users' => 'shared_'),\n      'charset' => 'utf8mb4',\n    ),\n  ),\n);\n" +
	"$update_free_access = FALSE;\n$drupal_hash_salt = 'it\\'s';\nini_set('session.gc_probability', 1);\n" +
	"$conf['404_fast_html'] = '<!DOCTYPE html><html>$databases = array();</html>';\n" +
	"if (file_exists(DRUPAL_ROOT . '/sites/a.example/settings.local.php')) {\n  include DRUPAL_ROOT . '/sites/a.example/settings.local.php';\n}\n?>\n\xff"

// drupal10 is in the shape of Drupal 10's settings.php.
const drupal10 = "<?php\n\n// phpcs:ignoreFile\n\n$databases = [];\n" +
	"$settings['hash_salt'] = 'b3' . \"\\x62\";\n$settings['update_free_access'] = FALSE;\n" +
	"$settings['container_yamls'][] = $app_root . '/' . $site_path . '/services.yml';\n" +
	"$settings['file_scan_ignore_directories'] = [\n  'node_modules',\n  'bower_components',\n];\n" +
	"/* if (file_exists($app_root . '/x')) {\n include $x; } */\n" +
	"$databases['default']['default'] = array (\n  'database' => @NAME@,\n  'username' => @USER@,\n  'password' => @PASSWORD@,\n" +
	"  'prefix' => 'wp7_',\n  'host' => @HOST@,\n  'port' => @PORT@,\n  'unix_socket' => @SOCKET@,\n  'charset' => 'utf8mb4',\n" +
	"  'isolation_level' => 'READ COMMITTED',\n  'driver' => 'mysql',\n  'namespace' => 'Drupal\\\\mysql\\\\Driver\\\\Database\\\\mysql',\n" +
	"  'autoload' => 'core/modules/mysql/src/Driver/Database/mysql/',\n  'init_commands' => ['x' => getenv('X') ?: 'y'],\n);\n" +
	"$settings['config_sync_directory'] = '../config/sync';\n$settings['file_private_path'] = $app_root . '/../private';\n" +
	"if (file_exists($app_root . '/' . $site_path . '/settings.local.php')) {\n  include $app_root . '/' . $site_path . '/settings.local.php';\n}\n"

const drupalVersion = "<?php\n\nnamespace {\n/** Static. */\nclass Drupal {\n  const VERSION = '10.2.3';\n  const CORE_COMPATIBILITY = '8.x';\n}\n}\n"

// laravelEnv is in the shape of a .env file of Laravel 10.
const laravelEnv = "APP_NAME=\"The Garden\"\nAPP_KEY=base64:abc=\nAPP_URL=http://localhost\n\n# DB_DATABASE=wrong\r\n" +
	"DB_CONNECTION=mysql\nDB_HOST=@HOST@\nDB_PORT=@PORT@\nDB_SOCKET=@SOCKET@\nexport DB_DATABASE=@NAME@ # the name\n" +
	"DB_USERNAME=@USER@\r\n  DB_PASSWORD = @PASSWORD@\nDB_PREFIX='wp7_'\nDB_CHARSET=\"utf8mb4\"\n" +
	"MAIL_FROM=\"${APP_NAME}\"\nODD=a#b\nMULTI=\"one\nDB_DATABASE=wrong\ntwo\"\n"

const symfonyEnv = "# In all environments, the following files are loaded if they exist\nAPP_ENV=dev\nAPP_SECRET=9c1\nDB_PREFIX=wp7_\n" +
	"# DATABASE_URL=\"sqlite:///%kernel.project_dir%/var/data.db\"\nDATABASE_URL=\"mysql://@URL@\"\nMAILER_DSN=null://null\n"

// bedrockEnv is in the shape of the .env file of roots/bedrock.
const bedrockEnv = "DB_NAME='@NAME@'\nDB_USER='@USER@'\nDB_PASSWORD='@PASSWORD@'\r\n\n# Optionally, you can use a data source name (DSN)\n" +
	"# DATABASE_URL='mysql://database_user:database_password@database_host:database_port/database_name'\n\n# DB_HOST='wrong'\nDB_HOST='@HOST@'\n" +
	"DB_PREFIX='wp7_'\n\nWP_ENV='production'\nWP_HOME='https://example.com'\nWP_SITEURL=\"${WP_HOME}/wp\"\nAUTH_KEY='a$b#c'\n"

const bedrockConfig = "<?php\nrequire_once dirname(__DIR__) . '/vendor/autoload.php';\nrequire_once dirname(__DIR__) . '/config/application.php';\n" +
	"require_once ABSPATH . 'wp-settings.php';\n"

func rows() []row {
	return []row{
		{
			name: "drupal 7, one site of many", kind: drupal.New(), site: "sites/a.example", docroot: ".", settings: "sites/a.example/settings.php",
			version: "7.98", text: drupal7, quote: phplit.Quote, broken: "<?php $databases = array(", anything: true,
			files: map[string]string{"includes/bootstrap.inc": "<?php\ndefine('VERSION', '7.98');\n", "sites/b.example/settings.php": "<?php",
				"sites/default/default.settings.php": "<?php"},
		},
		{
			name: "drupal 10 in web", kind: drupal.New(), docroot: "web", settings: "web/sites/default/settings.php",
			version: "10.2.3", text: drupal10, quote: phplit.Quote, broken: "<?php $databases = [ 'a' 'b' ];", anything: true,
			files: map[string]string{"composer.json": "{}", "web/core/lib/Drupal.php": drupalVersion, "web/index.php": "<?php"},
		},
		{
			name: "drupal without its code base", kind: drupal.New(), settings: "settings.php",
			text: drupal7, quote: phplit.Quote, broken: "<?php }", anything: true,
			files: map[string]string{"drushrc.php": "<?php\n$options['db_name'] = 'kept';\n"},
		},
		{
			name: "dotenv of Laravel", kind: dotenv.New(), docroot: "public", settings: ".env", version: "10.48.2", text: laravelEnv,
			quote: bare, broken: "DB_DATABASE=\"open\n",
			files: map[string]string{"artisan": "#!/usr/bin/env php", "public/index.php": "<?php", "storage/framework/.gitignore": "down\n",
				"vendor/laravel/framework/src/Illuminate/Foundation/Application.php": "<?php namespace I; class Application extends C implements A {\n const VERSION = '10.48.2';\n}"},
		},
		{
			name: "dotenv of Symfony", kind: dotenv.New(), docroot: "public", settings: ".env", version: "6.4.1", text: symfonyEnv,
			quote: bare, broken: "DATABASE_URL\n",
			files: map[string]string{"bin/console": "#!/usr/bin/env php", "public/index.php": "<?php",
				"vendor/symfony/http-kernel/Kernel.php": "<?php abstract class Kernel { public const VERSION = '6.4.1'; }"},
		},
		{
			name: "wordpress", kind: wordpress.New(), settings: "wp-config.php", text: wpConfig,
			version: "6.1.9", files: map[string]string{"wp-includes/version.php": wpVersion, "wp-load.php": "<?php"},
			quote: phplit.Quote, broken: "<?php define('DB_NAME', 'a", anything: true,
		},
		{
			name: "wordpress above the docroot", kind: wordpress.New(), docroot: "web", settings: "wp-config.php", text: wpConfig,
			version: "6.1.9", files: map[string]string{"web/wp-includes/version.php": wpVersion, "web/wp-load.php": "<?php"},
			quote: phplit.Quote, broken: "<?php define('DB_NAME' 'a');", anything: true,
		},
		{
			name: "wordpress in a directory of its own", kind: wordpress.New(), settings: "wp-config.php", text: wpConfig,
			version: "6.1.9", files: map[string]string{"wp/wp-includes/version.php": wpVersion, "index.php": "<?php"},
			quote: phplit.Quote, broken: "<?php /*", anything: true,
		},
		{
			name: "wordpress of Bedrock", kind: wordpress.New(), docroot: "web", settings: ".env", text: bedrockEnv, version: "6.1.9",
			files: map[string]string{"web/wp/wp-includes/version.php": wpVersion, "web/wp/wp-load.php": "<?php", "web/wp-config.php": bedrockConfig,
				"web/index.php": "<?php", "config/application.php": "<?php Config::define('DB_NAME', env('DB_NAME'));", "composer.json": "{}"},
			quote: bare, broken: "DB_NAME='open\n",
		},
		{
			name: "generic with PHP", kind: generic.New(), settings: "conf/db.php",
			files: map[string]string{".sitekeep.yaml": "settings: {file: conf/db.php, format: php, name: $name, user: $user, " +
				"password: PASSWORD, host: HOST, prefix: $prefix, charset: $charset}\n"},
			text:  "<?php $name = @NAME@; $user=@USER@;\nconst HOST = @HOST@, PASSWORD = @PASSWORD@;\n$prefix = 'wp7_'; $charset = 'utf8mb4'; return;",
			quote: phplit.Quote, broken: "<?php $name = 'a' }", anything: true,
		},
		{
			name: "generic with bare lines, in a docroot", kind: generic.New(), site: "sites/a", docroot: ".", settings: "sites/a/.env",
			files: map[string]string{"sites/a/.sitekeep.yaml": "settings:\n  file: .env\n  format: lines\n  name: DB_NAME\n  user: DB_USER\n" +
				"  password: DB_PASS\n  host: DB_HOST\n  prefix: PFX\n  charset: CHARSET\n"},
			text: "# DB_NAME=wrong\nXDB_NAME=wrong\nDB_NAME=@NAME@\nexport DB_USER=@USER@ # who\r\nDB_PASS = @PASSWORD@\n" +
				"  DB_HOST: @HOST@\nPFX=wp7_\nCHARSET=utf8mb4\n\xff",
			quote: bare, broken: "DB_NAME=a\nDB_NAME=b\n",
		},
		{
			name: "generic with quoted lines", kind: generic.New(), settings: "conf.ini",
			files: map[string]string{".sitekeep.yaml": "settings: {file: conf.ini, format: lines, name: name, user: user, " +
				"password: password, host: host, prefix: prefix, charset: charset}\n"},
			text:  "[db]\nname = @NAME@ ; x\nuser = @USER@\npassword = @PASSWORD@\nhost=@HOST@,\nprefix=\"wp7_\"\ncharset='utf8mb4'\n",
			quote: func(s string) string { return `"` + s + `"` }, broken: "name = \"a\nuser=\"b\"\npassword=c\nhost=d\n",
		},
	}
}
