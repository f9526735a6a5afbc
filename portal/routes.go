package portal

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// access is who may use a route. What they may see or do there beyond is in
// the route's note, and decided by access.go or by Service.
type access string

const (
	anyone   access = "anyone"
	signedIn access = "signed in"
	insider  access = "people of the organisation" // see server.insider
	admin    access = "administrators"
)

// face is how a route's answers and refusals look.
type face int

const (
	page  face = iota // HTML, session cookie
	api               // JSON, bearer token or session cookie
	plain             // has its own form and its own sign-in
)

type route struct {
	pattern string // of http.ServeMux
	who     access
	face    face
	note    string // what is decided beyond who, for ACCESS.md
	handle  func(w http.ResponseWriter, r *request) error
}

// routes is the one table of everything that can be asked. The mux, the
// refusals, ACCESS.md and the test of every permission are made from it.
func (s *server) routes() []route {
	const (
		visible     = "changes that the person may see"
		onlyOwn     = "third parties: only their own"
		decides     = "who may do so is decided by the same core for the command line, the API and the portal"
		ownToken    = "one's own tokens"
		menders     = "the groups that may approve yellow changes (slipway.yaml)"
		evidenceFor = "auditors, administrators and approvers: of anything; the owner of an app: of it"
		managers    = "the app's owner, and the groups that manage certificates (slipway.yaml)"
	)
	return []route{
		{"GET /{$}", signedIn, page, "", s.homePage},
		{"GET /sign-in", anyone, page, "", s.signInPage},
		{"GET /sign-in/{token}", anyone, page, "shows a button; the link is not used up", s.linkPage},
		{"POST /sign-in/{token}", anyone, page, "uses the link up", s.redeemLink},
		{"POST /sign-out", anyone, page, "", s.signOut},
		{"GET /apps/new", signedIn, page, "", s.requestPage},
		{"POST /apps/new", signedIn, page, "", s.submitRequest},
		{"POST /apps/preview", signedIn, page, "", s.previewRequest},
		{"GET /changes", signedIn, page, onlyOwn, s.changesPage},
		{"GET /changes/{id}", signedIn, page, visible, s.changePage},
		{"GET /changes/{id}/live", signedIn, page, visible, s.changeLive},
		{"POST /changes/{id}/votes", signedIn, page, visible + "; " + decides, s.votePage},
		{"POST /changes/{id}/cancel", signedIn, page, visible + "; " + decides, s.cancelPage},
		{"POST /changes/{id}/schedule", signedIn, page, visible + "; " + decides, s.schedulePage},
		{"POST /changes/{id}/retry", signedIn, page, visible + "; " + decides, s.retryPage},
		{"POST /changes/{id}/rollback", signedIn, page, visible + "; it becomes a request of theirs", s.rollbackPage},
		{"POST /changes/{id}/release", signedIn, page, visible + "; " + releasers, s.releasePage},
		{"GET /inbox", signedIn, page, "changes that the person may vote on", s.inboxPage},
		{"GET /apps", signedIn, page, onlyOwn, s.appsPage},
		{"GET /apps/{name}", signedIn, page, onlyOwn, s.appPage},
		{"GET /drift", insider, page, "", s.driftPage},
		{"POST /drift", insider, page, "", s.compareNow},
		{"GET /drift/report", insider, page, "", s.driftMonthPage},
		{"POST /drift/{zone}/revert", insider, page, menders, s.revertDriftPage},
		{"POST /drift/{zone}/adopt", insider, page, "it becomes a request of theirs", s.adoptDriftPage},
		{"GET /certificates", signedIn, page, onlyOwn + " apps'", s.certificatesPage},
		{"GET /certificates/{id}", signedIn, page, onlyOwn + " apps'", s.certificatePage},
		{"GET /certificates/{id}/chain.pem", signedIn, page, onlyOwn + " apps'", s.chainFile},
		{"POST /certificates/{id}/renew", signedIn, page, managers, s.renewPage},
		{"GET /certificates/{id}/revoke", signedIn, page, managers, s.revokePage},
		{"POST /certificates/{id}/revoke", signedIn, page, managers, s.revokeCertificate},
		{"GET /strays", insider, page, "", s.straysPage},
		{"POST /strays/{id}/accept", insider, page, "the groups that manage certificates", s.acceptStray},
		{"GET /controls", signedIn, page, "auditors, administrators and approvers", s.controlsPage},
		{"POST /evidence", signedIn, page, evidenceFor, s.evidencePage},
		{"GET /ca", anyone, page, "how to trust the server's own authority", s.trustPage},
		{"GET /account", signedIn, page, ownToken, s.accountPage},
		{"POST /account/tokens", signedIn, page, ownToken, s.createToken},
		{"POST /account/tokens/{id}/revoke", signedIn, page, ownToken + "; administrators: anyone's", s.revokeToken},
		{"GET /admin", admin, page, "", s.adminPage},
		{"POST /admin/links", admin, page, "", s.createLink},
		{"POST /admin/accounts/{person}/disable", admin, page, "nobody: their own account", s.disableAccount},
		{"POST /admin/accounts/{person}/enable", admin, page, "", s.enableAccount},

		{"GET /api/v1/me", signedIn, api, "", s.apiMe},
		{"POST /api/v1/preview", signedIn, api, onlyOwn + " apps", s.apiPreview},
		{"GET /api/v1/changes", signedIn, api, onlyOwn, s.apiChanges},
		{"POST /api/v1/changes", signedIn, api, onlyOwn + " apps", s.apiSubmit},
		{"GET /api/v1/changes/{id}", signedIn, api, visible, s.apiChange},
		{"GET /api/v1/changes/{id}/wait", signedIn, api, visible, s.apiWait},
		{"POST /api/v1/changes/{id}/votes", signedIn, api, visible + "; " + decides, s.apiVote},
		{"POST /api/v1/changes/{id}/cancel", signedIn, api, visible + "; " + decides, s.apiCancel},
		{"POST /api/v1/changes/{id}/schedule", signedIn, api, visible + "; " + decides, s.apiSchedule},
		{"POST /api/v1/changes/{id}/retry", signedIn, api, visible + "; " + decides, s.apiRetry},
		{"POST /api/v1/changes/{id}/rollback", signedIn, api, visible + "; it becomes a request of theirs", s.apiRollback},
		{"POST /api/v1/changes/{id}/release", signedIn, api, visible + "; " + releasers, s.apiRelease},
		{"GET /api/v1/inbox", signedIn, api, "changes that the person may vote on", s.apiInbox},
		{"GET /api/v1/apps", signedIn, api, onlyOwn, s.apiApps},
		{"GET /api/v1/apps/{name}", signedIn, api, onlyOwn, s.apiApp},
		{"GET /api/v1/drift", insider, api, "", s.apiLastDrift},
		{"POST /api/v1/drift", insider, api, "", s.apiDrift},
		{"GET /api/v1/drift/report", insider, api, "", s.apiDriftMonth},
		{"POST /api/v1/drift/{zone}/revert", insider, api, menders, s.apiRevertDrift},
		{"POST /api/v1/drift/{zone}/adopt", insider, api, "it becomes a request of theirs", s.apiAdoptDrift},
		{"GET /api/v1/certificates", signedIn, api, onlyOwn + " apps'", s.apiCertificates},
		{"GET /api/v1/certificates/{id}", signedIn, api, onlyOwn + " apps'", s.apiCertificate},
		{"POST /api/v1/certificates/{id}/renew", signedIn, api, managers, s.apiRenew},
		{"POST /api/v1/certificates/{id}/revoke", signedIn, api, managers, s.apiRevoke},
		{"POST /api/v1/apps/{name}/certificate", signedIn, api, "the app's owner", s.apiSign},
		{"GET /api/v1/strays", insider, api, "", s.apiStrays},
		{"POST /api/v1/strays/{id}/accept", insider, api, "the groups that manage certificates", s.apiAcceptStray},
		{"GET /api/v1/certificate-warnings", insider, api, "", s.apiWarnings},
		{"GET /api/v1/tokens", signedIn, api, ownToken, s.apiTokens},
		{"POST /api/v1/tokens", signedIn, api, ownToken + "; one made with a token ends with it at the latest", s.apiCreateToken},
		{"DELETE /api/v1/tokens/{id}", signedIn, api, ownToken + "; administrators: anyone's", s.apiRevokeToken},
		{"POST /api/v1/links", admin, api, "", s.apiLink},
		{"GET /api/v1/accounts", admin, api, "", s.apiAccounts},
		{"POST /api/v1/accounts/{person}/disable", admin, api, "nobody: their own account", s.apiDisable},
		{"POST /api/v1/accounts/{person}/enable", admin, api, "", s.apiEnable},
		{"GET /api/v1/controls", signedIn, api, "auditors, administrators and approvers", s.apiControls},
		{"GET /api/v1/evidence", signedIn, api, evidenceFor, s.apiEvidence},
		{"GET /api/v1/events", signedIn, api, "auditors, administrators and approvers: all; others: of changes that they asked for", s.apiEvents},

		{"GET /allowed_signers", anyone, plain, "", s.allowedSigners},
		{"GET /keys.json", anyone, plain, "", s.publicKeys},
		{"GET /ca/root.pem", anyone, plain, "the certificate to trust; no secret", s.rootCertificate},
		{"GET /ca/root.crt", anyone, plain, "the same in DER", s.rootCertificate},
		{"GET /ca/crl", anyone, plain, "serial numbers of revoked certificates", s.revocations},
		{"GET /healthz", anyone, plain, "", s.health},
		{"GET /assets/{file}", anyone, plain, "", s.asset},
		{"GET /log/", anyone, plain, "the log's tiles name people and digests, and no document", s.logTiles},
		{"/git/zones.git/", anyone, plain, "a personal token as the password, asked for by the Git host; third parties: refused", s.gitHost},
	}
}

// accessTable is ACCESS.md.
func (s *server) accessTable() []byte {
	var b bytes.Buffer
	b.WriteString(`# Who may do what

Made from the table in routes.go by ` + "`go test ./portal -run TestAccessTable -update`" + `; another test asks every
route as everyone and checks that it refuses those whom this table does not name.

- **anyone**: needs no sign-in.
- **signed in**: has a session, or for the API a personal token.
- **people of the organisation**: signed in, and no third party, unless an administrator or a member of a group.
  They see every change and every app, since names on company domains are everybody's business. Third parties see
  what they asked for or own; for them the rest does not exist ("not found").
- **administrators**: named in slipway.yaml. They manage accounts and approve nothing by that.

| request | who | beyond that |
|---|---|---|
`)
	for _, r := range s.routes() {
		method, path, ok := strings.Cut(r.pattern, " ")
		if !ok {
			method, path = "any", r.pattern
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", method, strings.TrimSuffix(path, "{$}"), r.who, r.note)
	}
	return b.Bytes()
}
