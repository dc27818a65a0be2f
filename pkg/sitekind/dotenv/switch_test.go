package dotenv

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// What PHP's hash_hmac, json_encode, base64_encode and urlencode make of the pass "p4ss".
const (
	wantSecret = "02c96658bad9cf5a2666e9137c15490faf061fdbe13ff5e952bc304ebdf73aca"
	wantCookie = "laravel_maintenance=" +
		"eyJleHBpcmVzX2F0Ijo0MTAyNDQ0ODAwLCJtYWMiOiJjNzU1ZDg5Njk1MDhlMDA5NGEwNTRjYjk1ZjhjM2IxNmFlOGFhZThiMGZkOGYyNWQ1YzJhMjI3OWIwMTQ0ZTBiIn0%3D"
)

func TestMaintenanceSwitchOfLaravel(t *testing.T) {
	const application = "vendor/laravel/framework/src/Illuminate/Foundation/Application.php"
	for version, impassable := range map[string]bool{"5.8.38": true, "7.30.6": true, "8.0.0": false, "11.2.0": false, "": false} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"artisan": "", "storage/framework/.gitignore": "", application: "<?php class A { const VERSION = '" + version + "'; }",
		} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		sw, err := New().MaintenanceSwitch(t.Context(), sitekind.Place{Root: root, Docroot: "public"}, sitekind.Pass{Header: "X", Value: "p4ss"})
		var keys map[string]any
		if err := errors.Join(err, json.Unmarshal(sw.Content, &keys)); err != nil || sw.Name != "storage/framework/down" || keys["status"] != 503.0 {
			t.Errorf("%s: %+v, %v", version, sw, err)
		}
		if sw.Impassable != impassable || sw.Cookie != wantCookie || keys["secret"] != wantSecret {
			t.Errorf("%s: cookie %s, secret %v, impassable %v", version, sw.Cookie, keys["secret"], sw.Impassable)
		}
	}
}
