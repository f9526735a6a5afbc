package audit

import "maps"

// Meaning is what the documentation says of an action.
type Meaning struct {
	Text    string // one sentence, plainly
	Example Event  // without the fields that Append sets
}

// Actions is the table of all actions: what each means, with an example.
func Actions() map[Action]Meaning { return maps.Clone(actions) }

var actions = map[Action]Meaning{
	StartLog: {}, SubmitChange: {}, ReviseChange: {}, CheckChange: {}, ApproveByRule: {}, ApproveChange: {}, RejectChange: {},
	WithdrawApproval: {}, VoidApprovals: {}, ScheduleChange: {}, CancelChange: {}, ExpireChange: {}, MergeChange: {}, CreateDNSRecord: {},
	UpdateDNSRecord: {}, DeleteDNSRecord: {}, ApplyZone: {}, GoLive: {}, FailChange: {}, DetectDrift: {}, ResolveDrift: {}, CreateAccount: {},
	IssueLink: {}, SignIn: {}, IssueToken: {}, RevokeToken: {}, RefusePush: {}, RefuseVote: {}, EraseDocument: {},
}
