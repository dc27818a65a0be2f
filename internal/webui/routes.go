package webui

import (
	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// route is a page or a form's target.
type route struct {
	pattern string // of http.ServeMux
	// method is the one of the API that it is there for: who may not call it gets nowhere. Empty: everybody signed in.
	method string
	handle func(*request) error
}

func (u *UI) routes() []route {
	return []route{
		{"POST /signout", "", u.signOut},
		{"GET /{$}", sitekeepv1.SiteService_ListOverview_FullMethodName, u.overview},
		{"GET /sites/{site}", sitekeepv1.SiteService_GetSite_FullMethodName, u.site},
		{"GET /sites/{site}/backup", sitekeepv1.BackupService_CreateBackup_FullMethodName, u.backupForm},
		{"POST /sites/{site}/backup", sitekeepv1.BackupService_CreateBackup_FullMethodName, u.backup},
		{"POST /sites/{site}/verify", sitekeepv1.SiteService_VerifySite_FullMethodName, u.verify},
		{"GET /sites/{site}/disable", sitekeepv1.SiteService_DisableSite_FullMethodName, u.disableForm},
		{"POST /sites/{site}/disable", sitekeepv1.SiteService_DisableSite_FullMethodName, u.disable},
		{"POST /sites/{site}/enable", sitekeepv1.SiteService_EnableSite_FullMethodName, u.enable},
		{"POST /sites/{site}/drill", sitekeepv1.RestoreService_DrillSites_FullMethodName, u.drill},
		{"POST /sites/{site}/undo", sitekeepv1.RestoreService_UndoRestore_FullMethodName, u.undo},
		{"GET /sites/{site}/restore", sitekeepv1.RestoreService_PlanRestore_FullMethodName, u.restoreForm},
		{"GET /sites/{site}/restore/plan", sitekeepv1.RestoreService_PlanRestore_FullMethodName, u.restorePlan},
		{"POST /sites/{site}/restore", sitekeepv1.RestoreService_RestoreSite_FullMethodName, u.restore},
		{"GET /sites/{site}/clone", sitekeepv1.RestoreService_CloneSite_FullMethodName, u.cloneForm},
		{"POST /sites/{site}/clone", sitekeepv1.RestoreService_CloneSite_FullMethodName, u.clone},
		{"GET /sites/{site}/settings", sitekeepv1.SiteService_UpdateSite_FullMethodName, u.settingsForm},
		{"POST /sites/{site}/settings", sitekeepv1.SiteService_UpdateSite_FullMethodName, u.setSettings},
		{"GET /sites/{site}/remove", sitekeepv1.SiteService_DeleteSite_FullMethodName, u.removeForm},
		{"POST /sites/{site}/remove", sitekeepv1.SiteService_DeleteSite_FullMethodName, u.removeSite},
		{"POST /sites/{site}/remove/backup", sitekeepv1.SiteService_DeleteSite_FullMethodName, u.backupToRemove},
		{"GET /sites/{site}/retention", sitekeepv1.RetentionService_PlanPrune_FullMethodName, u.retention},
		{"POST /sites/{site}/retention", sitekeepv1.RetentionService_SetRetention_FullMethodName, u.setRetention},
		{"POST /sites/{site}/retention/delete", sitekeepv1.RetentionService_DeleteRetention_FullMethodName, u.deleteRetention},
		{"GET /retention", sitekeepv1.RetentionService_PlanPrune_FullMethodName, u.retention},
		{"POST /retention", sitekeepv1.RetentionService_SetRetention_FullMethodName, u.setRetention},
		{"POST /retention/delete", sitekeepv1.RetentionService_DeleteRetention_FullMethodName, u.deleteRetention},
		{"GET /clients/{client}/retention", sitekeepv1.RetentionService_PlanPrune_FullMethodName, u.retention},
		{"POST /clients/{client}/retention", sitekeepv1.RetentionService_SetRetention_FullMethodName, u.setRetention},
		{"POST /clients/{client}/retention/delete", sitekeepv1.RetentionService_DeleteRetention_FullMethodName, u.deleteRetention},
		{"GET /schedule", sitekeepv1.ScheduleService_SetSchedule_FullMethodName, u.scheduleForm},
		{"POST /schedule", sitekeepv1.ScheduleService_SetSchedule_FullMethodName, u.setSchedule},
		{"POST /schedule/delete", sitekeepv1.ScheduleService_DeleteSchedule_FullMethodName, u.deleteSchedule},
		{"GET /backups/{backup}", sitekeepv1.BackupService_ListEntries_FullMethodName, u.contents},
		{"GET /backups/{backup}/download", sitekeepv1.BackupService_DownloadBackup_FullMethodName, u.download},
		{"GET /backups/{backup}/file", sitekeepv1.BackupService_ReadEntry_FullMethodName, u.file},
		{"GET /backups/{backup}/deploy", sitekeepv1.RestoreService_DeployBackup_FullMethodName, u.deployForm},
		{"GET /backups/{backup}/deploy/plan", sitekeepv1.RestoreService_DeployBackup_FullMethodName, u.deployPlan},
		{"POST /backups/{backup}/deploy", sitekeepv1.RestoreService_DeployBackup_FullMethodName, u.deploy},
		{"POST /backups/{backup}/pin", sitekeepv1.BackupService_PinBackup_FullMethodName, u.pin},
		{"POST /backups/{backup}/check", sitekeepv1.BackupService_CheckBackups_FullMethodName, u.checkBackup},
		{"POST /backups/{backup}/delete", sitekeepv1.BackupService_DeleteBackup_FullMethodName, u.deleteBackup},
		{"GET /tasks", sitekeepv1.TaskService_ListTasks_FullMethodName, u.taskList},
		{"GET /tasks/{task}", sitekeepv1.TaskService_WatchTask_FullMethodName, u.task},
		{"GET /tasks/{task}/events", sitekeepv1.TaskService_WatchTask_FullMethodName, u.taskEvents},
		{"POST /tasks/{task}/cancel", sitekeepv1.TaskService_CancelTask_FullMethodName, u.cancelTask},
		{"POST /tasks/{task}/retry", sitekeepv1.TaskService_RetryTask_FullMethodName, u.retryTask},
		{"GET /servers", sitekeepv1.ServerService_ListServers_FullMethodName, u.serverList},
		{"POST /servers", sitekeepv1.ServerService_CreateJoinToken_FullMethodName, u.joinServer},
		{"GET /servers/{server}/sites", sitekeepv1.SiteService_DiscoverSites_FullMethodName, u.discover},
		{"POST /servers/{server}/sites", sitekeepv1.SiteService_CreateSite_FullMethodName, u.addSites},
		{"POST /servers/{server}/revoke", sitekeepv1.ServerService_RevokeServer_FullMethodName, u.revokeServer},
		{"GET /users", sitekeepv1.UserService_ListUsers_FullMethodName, u.userList},
		{"POST /users", sitekeepv1.UserService_CreateUser_FullMethodName, u.createUser},
		{"POST /users/{user}/password", sitekeepv1.UserService_SetUserPassword_FullMethodName, u.setPassword},
		{"POST /users/{user}/delete", sitekeepv1.UserService_DeleteUser_FullMethodName, u.deleteUser},
	}
}

func nowhere(*request) error {
	return errs.New(errs.NotFound, "begin at the overview", "there is no such page")
}
