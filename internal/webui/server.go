package webui

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// serverData is a server and what its agent says.
type serverData struct {
	*sitekeepv1.Server
	Check   *sitekeepv1.CheckServerResponse
	Problem string // why there is no answer
	Hint    string
}

// serverListData is all servers, and a command to join another if one was asked for.
type serverListData struct {
	Servers []serverData
	Name    string
	Token   string // a secret
	DialOut bool   // the new one dials the master
	Expires *timestamppb.Timestamp
}

func (u *UI) serverList(r *request) error {
	list, err := u.checkedServers(r)
	if err != nil {
		return err
	}
	return u.render(r, "servers", "Servers", serverListData{Servers: list})
}

const (
	checkTimeout = 3 * time.Second // a page does not wait longer for an agent
	checksAtOnce = 16
)

// checkedServers asks all agents at the same time how they are.
func (u *UI) checkedServers(r *request) ([]serverData, error) {
	got, err := u.servers.ListServers(r.ctx, &sitekeepv1.ListServersRequest{})
	if err != nil {
		return nil, err
	}
	list := make([]serverData, len(got.GetServers()))
	ctx, stop := context.WithTimeout(r.ctx, checkTimeout)
	defer stop()
	slots := make(chan struct{}, checksAtOnce)
	var all sync.WaitGroup
	for i, s := range got.GetServers() {
		list[i].Server = s
		if s.GetRevoked() || s.GetJoinedAt() == nil {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			check, err := u.servers.CheckServer(ctx, &sitekeepv1.CheckServerRequest{Name: s.GetName()})
			if err != nil {
				list[i].Problem, list[i].Hint = sentence(err.Error()), errs.HintOf(err)
				return
			}
			list[i].Check = check
		})
	}
	all.Wait()
	return list, nil
}

func (u *UI) joinServer(r *request) error {
	name := r.PostFormValue("name")
	token, err := u.servers.CreateJoinToken(r.ctx, &sitekeepv1.CreateJoinTokenRequest{Name: name, Roles: r.PostForm["role"]})
	if err != nil {
		return err
	}
	list, err := u.checkedServers(r)
	if err != nil {
		return err
	}
	return u.render(r, "servers", "Servers", serverListData{Servers: list, Name: name, Token: token.GetToken(),
		DialOut: r.PostFormValue("dial_out") != "", Expires: token.GetExpiresAt()})
}

// revokeServer refuses a server from now on. Its name must be typed: nothing can be backed up or restored there then.
func (u *UI) revokeServer(r *request) error {
	name := r.PathValue("server")
	if r.PostFormValue("confirm") != name {
		return errs.New(errs.Usage, "go back and type "+name, "the name that was typed is not that of the server; nothing was done")
	}
	if _, err := u.servers.RevokeServer(r.ctx, &sitekeepv1.RevokeServerRequest{Name: name}); err != nil {
		return err
	}
	return r.redirect("servers")
}

// loadText is how busy a machine is: its load over five minutes by what its processors can do at once.
func loadText(c *sitekeepv1.CheckServerResponse) string {
	if c.GetProcessors() == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*c.GetLoad()/float64(c.GetProcessors()))
}
