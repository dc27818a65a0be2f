package dotenv

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

const (
	// downDirectory and downFile are where "artisan down" writes (Illuminate\Foundation\FileBasedMaintenanceMode).
	downDirectory = "storage/framework"
	downFile      = "down"
	// bypassCookie is Illuminate\Foundation\Http\MaintenanceModeBypassCookie's, since Laravel 8.
	bypassCookie = "laravel_maintenance"
	// bypassEnd is when the cookie ends, in seconds since 1970: the year 2100, long after the file.
	bypassEnd = 4102444800
	// retryAfter is told to visitors, in seconds.
	retryAfter = 60
)

// down is Laravel's file: the keys of "artisan down" of Laravel 8 and later, and with time and message of those before.
type down struct {
	Except   []string `json:"except"`
	Redirect *string  `json:"redirect"`
	Retry    int      `json:"retry"`
	Refresh  *int     `json:"refresh"`
	Secret   string   `json:"secret"`
	Status   int      `json:"status"`
	Template *string  `json:"template"`
	Time     int64    `json:"time"`
	Message  string   `json:"message"`
	Comment  string   `json:"comment"`
}

// MaintenanceSwitch implements sitekind.Switcher: of these programs Laravel has one. Before version 8 no request passes it.
func (Kind) MaintenanceSwitch(ctx context.Context, p sitekind.Place, pass sitekind.Pass) (sitekind.Switch, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Switch{}, err
	}
	project, err := look(p)
	if err != nil {
		return sitekind.Switch{}, err
	}
	if project.program != laravel {
		return sitekind.Switch{}, &sitekind.NoSwitchError{Why: "of programs with a .env file only Laravel has one"}
	}
	name := project.in(downDirectory)
	if _, err := sitekind.Resolve(p.Root, name); err != nil {
		return sitekind.Switch{}, &sitekind.NoSwitchError{Why: fmt.Sprintf("Laravel's %s cannot be written to: %v", name, err)}
	}
	secret := mac("sitekeep", pass.Value)
	content, err := json.Marshal(down{Except: []string{}, Retry: retryAfter, Secret: secret, Status: 503, Comment: sitekind.SwitchMark})
	if err != nil {
		return sitekind.Switch{}, fmt.Errorf("encode: %w", err)
	}
	return sitekind.Switch{
		Name: name + "/" + downFile, Content: append(content, '\n'), Cookie: cookie(secret), Impassable: old(project.version()),
	}, nil
}

// old says whether a version is before 8, which knows no cookie. One that is not known is taken for a later one.
func old(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n < 8
}

// cookie is what MaintenanceModeBypassCookie::isValid takes for a secret.
func cookie(secret string) string {
	payload := fmt.Sprintf(`{"expires_at":%d,"mac":%q}`, bypassEnd, mac(strconv.Itoa(bypassEnd), secret))
	return bypassCookie + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(payload)))
}

// mac is PHP's hash_hmac('sha256', data, key).
func mac(data, key string) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(data))
	return hex.EncodeToString(m.Sum(nil))
}
