package webui

import (
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// userListData is who may sign in.
type userListData struct {
	Users []*sitekeepv1.User
	Self  string // who looks
}

func (u *UI) userList(r *request) error {
	got, err := u.users.ListUsers(r.ctx, &sitekeepv1.ListUsersRequest{})
	if err != nil {
		return err
	}
	return u.render(r, "users", "Users", userListData{got.GetUsers(), strings.TrimPrefix(r.caller.GetName(), "user:")})
}

func (u *UI) createUser(r *request) error {
	password, err := newPassword(r)
	if err != nil {
		return err
	}
	_, err = u.users.CreateUser(r.ctx, &sitekeepv1.CreateUserRequest{Name: strings.TrimSpace(r.PostFormValue("name")), Role: r.PostFormValue("role"),
		Client: strings.TrimSpace(r.PostFormValue("client")), Password: password})
	if err != nil {
		return err
	}
	return r.redirect("users")
}

// newPassword is one that was typed twice: nobody sees what is typed.
func newPassword(r *request) (string, error) {
	password := r.PostFormValue("password")
	if password != r.PostFormValue("again") {
		return "", errs.New(errs.Usage, "go back and type the same one twice", "the two passwords differ; nothing was done")
	}
	return password, nil
}

func (u *UI) setPassword(r *request) error {
	password, err := newPassword(r)
	if err != nil {
		return err
	}
	if _, err := u.users.SetUserPassword(r.ctx, &sitekeepv1.SetUserPasswordRequest{Name: r.PathValue("user"), Password: password}); err != nil {
		return err
	}
	return r.redirect("users")
}

func (u *UI) deleteUser(r *request) error {
	if _, err := u.users.DeleteUser(r.ctx, &sitekeepv1.DeleteUserRequest{Name: r.PathValue("user")}); err != nil {
		return err
	}
	return r.redirect("users")
}
