package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"slipway/secret"
)

// S3Settings say which bucket, and how long nobody may delete what is put there.
type S3Settings struct {
	Bucket   string
	Region   string
	Endpoint string // default: Amazon's
	Prefix   string // of all names, without a slash at the end

	// Without a key the identity of the platform is used: an instance role, a workload
	// identity, the AWS profile.
	AccessKey, SecretKey secret.Value

	Retention time.Duration    // 0: nothing is written with these settings
	Client    *http.Client     // default: the SDK's own
	Now       func() time.Time // default time.Now
}

// S3 is a mirror in a bucket with Object Lock. Each object is written under COMPLIANCE
// mode, in which not even the account's owner can delete it or shorten its time.
//
// In such a bucket a later write of the same name makes another version, and a delete
// makes a marker: both hide the first version and neither takes it away. So what counts
// here is always the first version, and whatever came after is reported.
type S3 struct {
	s   S3Settings
	api *s3.Client

	page *int32 // names a listing gives at once; nil: as many as the server likes

	mu    sync.Mutex // held while the lock is looked at
	locks bool       // the bucket was seen to lock what is put into it
}

// OpenS3 reaches no server.
func OpenS3(ctx context.Context, s S3Settings) (*S3, error) {
	if s.Bucket == "" {
		return nil, errors.New("mirror: bucket must be set")
	}
	if s.AccessKey.Empty() != s.SecretKey.Empty() {
		return nil, errors.New("mirror: access-key and secret-key go together; without both, the platform's own identity is used")
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Region == "" {
		s.Region = "us-east-1" // what servers other than Amazon's are content with
	}
	options := []func(*config.LoadOptions) error{config.WithRegion(s.Region)}
	if s.Client != nil {
		options = append(options, config.WithHTTPClient(s.Client))
	}
	if !s.AccessKey.Empty() {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(s.AccessKey.Reveal(), s.SecretKey.Reveal(), "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	api := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(s.Endpoint), true
		}
		// Our own SHA-256 goes with what is written, and readers check more than a CRC.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &S3{s: s, api: api}, nil
}

func (s *S3) key(name string) string {
	if s.s.Prefix == "" {
		return name
	}
	return s.s.Prefix + "/" + name
}

// fault makes an error of one that the server or the way to it gave. The SDK's own texts
// name the request, and no credential.
func (s *S3) fault(what string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != "" {
		return fmt.Errorf("mirror: bucket %s: %s: %s: %.300s", s.s.Bucket, what, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("mirror: bucket %s: %s: %w", s.s.Bucket, what, err)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Put writes an object under the lock, unless there is one.
func (s *S3) Put(ctx context.Context, name string, content []byte) error {
	if s.s.Retention <= 0 {
		return errors.New("mirror: the settings have no retention, so nothing is written: a copy that can be deleted guards nothing")
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	out, err := s.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.s.Bucket, Key: aws.String(s.key(name)), Body: bytes.NewReader(content),
		IfNoneMatch:               aws.String("*"),
		ChecksumAlgorithm:         types.ChecksumAlgorithmSha256,
		ChecksumSHA256:            aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		ObjectLockMode:            types.ObjectLockModeCompliance,
		ObjectLockRetainUntilDate: aws.Time(s.s.Now().Add(s.s.Retention)),
	})
	if c := code(err); c == "PreconditionFailed" || c == "ConditionalRequestConflict" {
		return s.same(ctx, name, content)
	}
	if err != nil {
		return s.fault("writing "+name, err)
	}
	return s.seesLock(ctx, name, aws.ToString(out.VersionId))
}

// same compares an object that is there already.
func (s *S3) same(ctx context.Context, name string, content []byte) error {
	there, err := s.Get(ctx, Object{Name: name}, int64(len(content)))
	var other *Contradiction
	switch {
	case errors.As(err, &other), err == nil && !bytes.Equal(there.Raw, content):
		return errOther(name)
	case absent(err):
		// Refused, and not there: somebody has put a delete marker over nothing, or another
		// writer is in the middle of it.
		return fmt.Errorf("mirror: bucket %s: writing %s: the server refuses it as if it were there; it is tried again", s.s.Bucket, name)
	}
	return err
}

// ready makes sure, once, that the bucket can lock at all.
func (s *S3) ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks {
		return nil
	}
	got, err := s.api.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &s.s.Bucket})
	if code(err) == "ObjectLockConfigurationNotFoundError" || err == nil && (got.ObjectLockConfiguration == nil || got.ObjectLockConfiguration.ObjectLockEnabled != types.ObjectLockEnabledEnabled) {
		return fmt.Errorf("mirror: bucket %s has no Object Lock, so what is put there could be deleted. Make a bucket with Object Lock (it is an option when a bucket is made) and name that one", s.s.Bucket)
	}
	if err != nil {
		return s.fault("asking for its Object Lock", err)
	}
	return nil
}

// seesLock looks, once, whether what was written is locked: a server may take the
// request and not do it.
func (s *S3) seesLock(ctx context.Context, name, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks {
		return nil
	}
	in := &s3.HeadObjectInput{Bucket: &s.s.Bucket, Key: aws.String(s.key(name))}
	if version != "" {
		in.VersionId = &version
	}
	got, err := s.api.HeadObject(ctx, in)
	if err != nil {
		return s.fault("looking at the lock of "+name, err)
	}
	if got.ObjectLockMode != types.ObjectLockModeCompliance || got.ObjectLockRetainUntilDate == nil {
		return fmt.Errorf("mirror: bucket %s took %s but does not say that it is locked in COMPLIANCE mode. The key needs the right s3:GetObjectRetention; if it has that, the server does not lock", s.s.Bucket, name)
	}
	s.locks = true
	return nil
}

func (s *S3) Get(ctx context.Context, o Object, limit int64) (Content, error) {
	if o.Version == "" {
		found := false
		for first, err := range s.List(ctx, o.Name) {
			if err != nil {
				return Content{}, err
			}
			if found = first.Name == o.Name && first.Version != ""; found {
				o = first
			}
			break // names come in order, so the exact one comes first
		}
		if !found {
			return Content{}, fmt.Errorf("mirror: bucket %s: %s: %w", s.s.Bucket, o.Name, fs.ErrNotExist)
		}
	}
	got, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.s.Bucket, Key: aws.String(s.key(o.Name)), VersionId: &o.Version})
	if c := code(err); c == "NoSuchKey" || c == "NoSuchVersion" {
		return Content{}, fmt.Errorf("mirror: bucket %s: %s: %w", s.s.Bucket, o.Name, fs.ErrNotExist)
	}
	if err != nil {
		return Content{}, s.fault("reading "+o.Name, err)
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(got.Body, limit+1))
	switch {
	case err != nil:
		return Content{}, s.fault("reading "+o.Name, err)
	case int64(len(raw)) > limit:
		return Content{}, contradicts(o.Name, "it is larger than such an object can be")
	}
	mode, until := got.ObjectLockMode, got.ObjectLockRetainUntilDate
	if mode == "" { // not every server says it here
		kept, err := s.api.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &s.s.Bucket, Key: aws.String(s.key(o.Name)), VersionId: &o.Version})
		// An answer that is no lock, however it is put, says that there is none.
		var answer *smithyhttp.ResponseError
		if err != nil && (!errors.As(err, &answer) || answer.HTTPStatusCode() >= 500) {
			return Content{}, s.fault("looking at the lock of "+o.Name, err)
		}
		if err == nil && kept.Retention != nil {
			mode, until = types.ObjectLockMode(kept.Retention.Mode), kept.Retention.RetainUntilDate
		}
	}
	c := Content{Raw: raw}
	if mode == types.ObjectLockModeCompliance && until != nil {
		c.Until, c.Locked = *until, until.After(s.s.Now())
	}
	return c, nil
}

// versions is what was done to one name, as a listing tells it.
type versions struct {
	first   Object
	etag    string   // of the first
	etags   []string // of all
	deletes int
}

func (v *versions) object() Object {
	o := v.first
	// One that was written again just so is a request that was sent again.
	later := len(slices.DeleteFunc(v.etags, func(etag string) bool { return etag == v.etag }))
	switch {
	case o.Version == "":
		o.After = "it is deleted, and no version of it is left"
	case later > 0 && v.deletes > 0:
		o.After = fmt.Sprintf("it was written over (%d times) and deleted; the first version is still there", later)
	case later > 0:
		o.After = fmt.Sprintf("it was written over (%d times); the first version is still there", later)
	case v.deletes > 0:
		o.After = "it was deleted; its version is still there"
	}
	return o
}

// List goes through all versions, of which the first one written counts.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		in := &s3.ListObjectVersionsInput{Bucket: &s.s.Bucket, Prefix: aws.String(s.key(prefix)), MaxKeys: s.page}
		found := map[string]*versions{} // of this page, and of the name that it begins with
		for {
			page, err := s.api.ListObjectVersions(ctx, in)
			if err != nil {
				yield(Object{}, s.fault("listing it", err))
				return
			}
			s.collect(found, page)
			more, keys := aws.ToBool(page.IsTruncated), slices.Sorted(maps.Keys(found))
			for i, key := range keys {
				// The next page may have older versions of the last. The marker is not asked:
				// some servers put more than a name into it.
				if more && i == len(keys)-1 {
					continue
				}
				if !yield(found[key].object(), nil) {
					return
				}
				delete(found, key)
			}
			if !more {
				return
			}
			if aws.ToString(page.NextKeyMarker) == aws.ToString(in.KeyMarker) && aws.ToString(page.NextVersionIdMarker) == aws.ToString(in.VersionIdMarker) {
				yield(Object{}, fmt.Errorf("mirror: bucket %s: the server's listing of versions does not go on after %s: it cannot keep a mirror of more objects than it lists at once", s.s.Bucket, aws.ToString(page.NextKeyMarker)))
				return
			}
			in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
		}
	}
}

// collect adds a page. Versions of a name come newest first, so that of two with the same
// time the later in the list is the older.
func (s *S3) collect(found map[string]*versions, page *s3.ListObjectVersionsOutput) {
	of := func(key string) *versions {
		v := found[key]
		if v == nil {
			name := key
			if s.s.Prefix != "" {
				name = strings.TrimPrefix(key, s.s.Prefix+"/")
			}
			v = &versions{first: Object{Name: name}}
			found[key] = v
		}
		return v
	}
	for _, p := range page.Versions {
		v := of(aws.ToString(p.Key))
		made := aws.ToTime(p.LastModified)
		v.etags = append(v.etags, aws.ToString(p.ETag))
		if v.first.Version == "" || !made.After(v.first.Made) {
			v.first.Version, v.first.Made, v.etag = aws.ToString(p.VersionId), made, aws.ToString(p.ETag)
		}
	}
	for _, m := range page.DeleteMarkers {
		of(aws.ToString(m.Key)).deletes++
	}
}
