package evidence

// readme is the file for whoever unpacks a bundle without knowing what it is.
const readme = `This is a bundle of evidence from Slipway: what its record holds about one
app, change, zone or period, with the proofs that it is in the record.

Do not believe it because it is here. Verify it, offline, with the log's key
that you have from elsewhere:

    slipway verify bundle.zip --trust keys.pub

  manifest.json      what is in this bundle, with the SHA-256 of every file
  seal               who took it out, and that it is as it was then (if a server made it)
  events.jsonl       the events, one a line, byte for byte as they lie in the log
  proofs.jsonl       where each event lies, and its proof (RFC 6962 audit path)
  checkpoint         the log's signed state that the proofs lead to
  cosigned           the newest state that witnesses signed, if there are any
  consistency.jsonl  that the log only grew from there (RFC 6962)
  keys.json          what the server says its keys are
  documents/         what the events refer to, named by SHA-256
  git/               the commits of the zones repository, and who may sign them
  policy/            the rules in force, by commit
  data.json          the same again, put together for reading
  reports/           the same again, for people
  controls/          which control each part is evidence for

What is proven and what is not, and how to verify it with a program of your own,
is in Slipway's docs/evidence.md.
`
