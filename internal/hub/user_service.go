package hub

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/account"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type userService struct {
	sitekeepv1.UnimplementedUserServiceServer
	*Hub
}

func (s *userService) CreateUser(ctx context.Context, q *sitekeepv1.CreateUserRequest) (*sitekeepv1.CreateUserResponse, error) {
	if err := model.CheckServerName(q.Name); err != nil {
		return nil, errs.New(errs.Usage, "use letters, digits, dots, hyphens and underscores", "user name %q cannot be used", q.Name)
	}
	if err := checkGrant(q.Role, q.Client); err != nil {
		return nil, err
	}
	if err := account.CheckPassword(q.Password); err != nil {
		return nil, err
	}
	now := s.Now().UTC()
	user := catalogue.User{Name: q.Name, Password: account.Hash(q.Password), Role: catalogue.APIRole(q.Role), Client: q.Client, CreatedAt: now, ChangedAt: now}
	if err := s.Catalogue.CreateUser(ctx, user); err != nil {
		return nil, err
	}
	return &sitekeepv1.CreateUserResponse{User: userToProto(&user)}, nil
}

func (s *userService) ListUsers(ctx context.Context, _ *sitekeepv1.ListUsersRequest) (*sitekeepv1.ListUsersResponse, error) {
	list, err := s.Catalogue.Users(ctx)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListUsersResponse{}
	for i := range list {
		out.Users = append(out.Users, userToProto(&list[i]))
	}
	return out, nil
}

func (s *userService) SetUserPassword(ctx context.Context, q *sitekeepv1.SetUserPasswordRequest) (*sitekeepv1.SetUserPasswordResponse, error) {
	if err := account.CheckPassword(q.Password); err != nil {
		return nil, err
	}
	if err := s.Catalogue.SetUserPassword(ctx, q.Name, account.Hash(q.Password), s.Now().UTC()); err != nil {
		return nil, err
	}
	user, err := s.Catalogue.User(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.SetUserPasswordResponse{User: userToProto(&user)}, nil
}

func (s *userService) DeleteUser(ctx context.Context, q *sitekeepv1.DeleteUserRequest) (*sitekeepv1.DeleteUserResponse, error) {
	return &sitekeepv1.DeleteUserResponse{}, s.Catalogue.DeleteUser(ctx, q.Name)
}

// checkGrant refuses a role that there is not, and an admin of one client.
func checkGrant(role, client string) error {
	if _, ok := roleNames[catalogue.APIRole(role)]; !ok {
		return errs.New(errs.Usage, "the roles are admin, operator and viewer", "there is no role %q", role)
	}
	if client != "" && role == string(catalogue.APIAdmin) {
		return errs.New(errs.Usage, "take the role operator or viewer", "an admin cannot be bound to client %s", client)
	}
	return nil
}

func userToProto(u *catalogue.User) *sitekeepv1.User {
	return &sitekeepv1.User{Name: u.Name, Role: string(u.Role), Client: u.Client, CreatedAt: timeToProto(u.CreatedAt), ChangedAt: timeToProto(u.ChangedAt)}
}
