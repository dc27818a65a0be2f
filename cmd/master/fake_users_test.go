package main

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// fakeUsers answers what the master says of users; the only one is ada.
type fakeUsers struct {
	pb.UnimplementedUserServiceServer
	master *fakeMaster
}

func ada() *pb.User { return &pb.User{Name: "ada", Role: "admin", CreatedAt: at(0), ChangedAt: at(60)} }

func known(name string) error {
	if name != "ada" {
		return errs.New(errs.NotFound, "list them with: sitekeep user list", "no user %q", name)
	}
	return nil
}

func (u *fakeUsers) CreateUser(_ context.Context, q *pb.CreateUserRequest) (*pb.CreateUserResponse, error) {
	u.master.called("CreateUser %s role=%s client=%s password=%q", q.Name, q.Role, q.Client, q.Password)
	return &pb.CreateUserResponse{User: &pb.User{Name: q.Name, Role: q.Role, Client: q.Client, CreatedAt: at(0), ChangedAt: at(0)}}, nil
}

func (u *fakeUsers) ListUsers(context.Context, *pb.ListUsersRequest) (*pb.ListUsersResponse, error) {
	return &pb.ListUsersResponse{Users: []*pb.User{ada()}}, nil
}

func (u *fakeUsers) SetUserPassword(_ context.Context, q *pb.SetUserPasswordRequest) (*pb.SetUserPasswordResponse, error) {
	u.master.called("SetUserPassword %s password=%q", q.Name, q.Password)
	return &pb.SetUserPasswordResponse{User: ada()}, known(q.Name)
}

func (u *fakeUsers) DeleteUser(_ context.Context, q *pb.DeleteUserRequest) (*pb.DeleteUserResponse, error) {
	u.master.called("DeleteUser %s", q.Name)
	return &pb.DeleteUserResponse{}, known(q.Name)
}
