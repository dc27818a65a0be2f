package hook

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Owner is the numbers of a user and of a group.
type Owner struct{ UID, GID uint32 }

// Nobody owns nothing (base-passwd on Debian; the kernel's overflowuid): hooks
// of a site that is not there yet run as it.
var Nobody = Owner{UID: 65534, GID: 65534}

// identity is as whom a hook runs.
type identity struct {
	name, home string
	// credential is nil for the agent's own user.
	credential *syscall.Credential
}

// identity is that of the configured account, or of the site's owner. Only
// root can be another one: any other agent runs hooks as itself.
func (r *Runner) identity(owner Owner) (identity, error) {
	account, err := r.account(owner)
	if err != nil {
		return identity{}, err
	}
	id := identity{name: account.Username, home: account.HomeDir}
	if os.Geteuid() != 0 {
		if account.Uid != strconv.Itoa(os.Geteuid()) {
			return id, errs.New(errs.Precondition, "run sitekeep-agent as root, or remove hooks.user from agent.yaml",
				"hooks: only root can run them as %s", account.Username)
		}
		return id, nil
	}
	id.credential, err = credential(account)
	return id, err
}

func (r *Runner) account(owner Owner) (*user.User, error) {
	if r.opts.User != "" {
		account, err := user.Lookup(r.opts.User)
		if err != nil {
			return nil, errs.New(errs.Precondition, "correct hooks.user in agent.yaml and restart sitekeep-agent", "hooks: %w", err)
		}
		return account, nil
	}
	if os.Geteuid() != 0 {
		owner = Owner{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	}
	uid := strconv.FormatUint(uint64(owner.UID), 10)
	if account, err := user.LookupId(uid); err == nil {
		return account, nil
	}
	// A number without a name owns files, in containers for instance.
	return &user.User{Uid: uid, Gid: strconv.FormatUint(uint64(owner.GID), 10), Username: uid, HomeDir: "/"}, nil
}

// credential gives a hook the account's own groups, and none of the agent's.
func credential(account *user.User) (*syscall.Credential, error) {
	ids := []string{account.Uid, account.Gid}
	if more, err := account.GroupIds(); err == nil { // fails for numbers without a name
		ids = append(ids, more...)
	}
	var numbers []uint32
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("hooks: account %s: %w", account.Username, err)
		}
		numbers = append(numbers, uint32(n))
	}
	return &syscall.Credential{Uid: numbers[0], Gid: numbers[1], Groups: numbers[1:]}, nil
}

// environment is all that a hook finds in its own: nothing of the agent's.
func (c *Call) environment(id *identity) []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		"HOME=" + id.home,
		"USER=" + id.name,
		"LOGNAME=" + id.name,
		"SITEKEEP_SITE=" + c.Site.Name,
		"SITEKEEP_KIND=" + c.Site.Kind,
		"SITEKEEP_ROOT=" + c.Site.Root,
		"SITEKEEP_DOCROOT=" + c.Site.Docroot,
		"SITEKEEP_EVENT=" + c.Event,
		"SITEKEEP_TASK=" + c.Task,
		"SITEKEEP_BACKUP=" + c.Backup,
		"SITEKEEP_OUTCOME=" + c.Outcome,
	}
}
