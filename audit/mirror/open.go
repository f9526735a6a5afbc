package mirror

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipway/internal/part"
	"slipway/secret"
)

// The types of mirrors in slipway.yaml.
const (
	TypeS3        = "s3"
	TypeDirectory = "directory"
)

const year = 365 * 24 * time.Hour

// Settings are those of a mirror, with the place that they name.
type Settings struct {
	Store     Store
	Documents Documents
	Every     time.Duration
}

// Open reads the settings of the mirror that slipway.yaml calls name. It reaches no server.
// A nil resolver knows secrets in the environment and in files.
func Open(ctx context.Context, name, typ string, params map[string]string, secrets *secret.Resolver) (Settings, error) {
	what := "record mirrors " + name
	r := part.Read(what, params, secrets)
	s := Settings{Every: r.Duration("checkpoint-every", DefaultEvery, time.Minute, 30*24*time.Hour)}
	var err error
	if s.Documents, err = ParseDocuments(r.Words("documents")); err != nil {
		r.Fail("documents", "%w", err)
	}
	switch typ {
	case TypeDirectory:
		dir := r.Must("path")
		if err := r.Done(); err != nil {
			return s, err
		}
		d, err := OpenDirectory(dir)
		if err != nil {
			return s, fmt.Errorf("%s: %w", what, err)
		}
		s.Store = d
		return s, nil
	case TypeS3:
		bucket := S3Settings{
			Bucket:    r.Must("bucket"),
			Region:    r.Text("region", ""),
			Prefix:    strings.Trim(r.Text("prefix", ""), "/"),
			Retention: r.Duration("retention", 0, time.Minute, 100*year),
			AccessKey: r.Secret(ctx, "access-key", false),
			SecretKey: r.Secret(ctx, "secret-key", false),
		}
		if r.Text("endpoint", "") != "" {
			bucket.Endpoint = r.URL("endpoint").String()
		}
		if err := r.Done(); err != nil {
			return s, err
		}
		store, err := OpenS3(ctx, bucket)
		if err != nil {
			return s, fmt.Errorf("%s: %w", what, err)
		}
		s.Store = store
		return s, nil
	}
	return s, fmt.Errorf("%s: the type %q is neither %s nor %s", what, typ, TypeS3, TypeDirectory)
}

// ParsePlace reads where a mirror is from one word, for the command line: a directory,
// or s3://bucket/prefix?region=…&endpoint=… with settings as in slipway.yaml.
func ParsePlace(place string) (typ string, params map[string]string, err error) {
	if !strings.HasPrefix(place, "s3://") {
		return TypeDirectory, map[string]string{"path": place}, nil
	}
	u, err := url.Parse(place)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", nil, fmt.Errorf("mirror: write a bucket as s3://BUCKET/PREFIX?region=REGION, without user and password")
	}
	params = map[string]string{"bucket": u.Host}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		params["prefix"] = prefix
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, fmt.Errorf("mirror: what follows the question mark is not name=value&name=value")
	}
	for key, values := range query {
		if len(values) != 1 || key == "bucket" || key == "prefix" {
			return "", nil, fmt.Errorf("mirror: %s is there more than once", key)
		}
		if secret.NamesSecret(key) {
			if _, err := secret.Parse(values[0]); err != nil {
				return "", nil, fmt.Errorf("mirror: %s: %w", key, err)
			}
		}
		params[key] = values[0]
	}
	return TypeS3, params, nil
}
