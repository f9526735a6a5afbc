package ctwatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// Bounds on asking a log.
const (
	attempts     = 5 // of one request
	firstPause   = 500 * time.Millisecond
	lastPause    = 30 * time.Second
	longestPause = 5 * time.Minute // a log that asks for a longer one is left alone until then
	mostPause    = 24 * time.Hour  // what a Retry-After counts for at most
)

// errTooLarge is of an answer that is larger than any honest one.
var errTooLarge = errors.New("the answer is too large")

// fetcher asks one log over HTTP: not faster than agreed, again after what passes by itself,
// and later if the log says so. Owned by the one pass that is under way.
type fetcher struct {
	client *http.Client
	base   string
	limit  *rate.Limiter
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	jitter func() float64 // 0 to 1

	after time.Time // the log asked to be left alone until then
}

// get returns the body at path, of at most most bytes. What is not there is fs.ErrNotExist.
func (f *fetcher) get(ctx context.Context, path string, most int64) ([]byte, error) {
	var last error
	pause := firstPause
	for try := range attempts {
		if wait := f.after.Sub(f.now()); wait > longestPause {
			return nil, fmt.Errorf("it asked not to be asked again before %s", f.after.UTC().Format(time.RFC3339))
		} else if wait > 0 {
			if err := f.sleep(ctx, wait); err != nil {
				return nil, err
			}
		}
		if try > 0 {
			// Half of it by chance, so that many watchers do not come back together.
			if err := f.sleep(ctx, pause/2+time.Duration(f.jitter()*float64(pause/2))); err != nil {
				return nil, err
			}
			pause = min(2*pause, lastPause)
		}
		body, again, err := f.once(ctx, path, most)
		if err == nil {
			return body, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if last = err; !again {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w (asked %d times)", last, attempts)
}

func (f *fetcher) once(ctx context.Context, path string, most int64) (body []byte, again bool, err error) {
	if err := f.limit.Wait(ctx); err != nil {
		return nil, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+path, nil)
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("User-Agent", "slipway-ctwatch")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, true, err
	}
	defer resp.Body.Close()
	if after, ok := retryAfter(resp.Header.Get("Retry-After"), f.now()); ok {
		f.after = after
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, false, fmt.Errorf("GET %s: %s: %w", path, resp.Status, fs.ErrNotExist)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return nil, true, fmt.Errorf("GET %s: %s", path, resp.Status)
	default:
		return nil, false, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, true, fmt.Errorf("GET %s: %w", path, err)
	}
	if int64(len(body)) > most {
		return nil, false, fmt.Errorf("GET %s: %w: more than %d bytes", path, errTooLarge, most)
	}
	return body, false, nil
}

// retryAfter reads RFC 9110 section 10.2.3: seconds, or a date.
func retryAfter(value string, now time.Time) (time.Time, bool) {
	if value == "" {
		return time.Time{}, false
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return now.Add(min(time.Duration(n)*time.Second, mostPause)), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return time.Time{}, false
	}
	if latest := now.Add(mostPause); at.After(latest) {
		at = latest
	}
	return at, true
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
