package repo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Commit is one step of main's history.
type Commit struct {
	ID, Parent string // Parent is "" for the first commit
	Author     Person
	When       time.Time // when it was committed
	Subject    string
}

// MaxHistory bounds FirstParents.
const MaxHistory = 10_000

// FirstParents returns at most n commits from rev back along first parents, newest
// first: the changes as they came onto main, without the steps of their making.
func (r *Repo) FirstParents(ctx context.Context, rev string, n int) ([]Commit, error) {
	start, err := r.Resolve(ctx, rev)
	if err != nil || n <= 0 {
		return nil, err
	}
	out, err := r.git.run(ctx, nil, "log", "-z", "--first-parent", "--max-count="+strconv.Itoa(min(n, MaxHistory)),
		"--format=%H%n%P%n%an%n%ae%n%ct%n%s", start)
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", rev, err)
	}
	var commits []Commit
	for _, record := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		f := strings.SplitN(record, "\n", 6)
		if len(f) != 6 {
			return nil, fmt.Errorf("history of %s: git says %q", rev, record)
		}
		seconds, err := strconv.ParseInt(f[4], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("history of %s: git says %q", rev, record)
		}
		parent, _, _ := strings.Cut(f[1], " ")
		commits = append(commits, Commit{
			ID: f[0], Parent: parent, Author: Person{Name: f[2], Email: f[3]},
			When: time.Unix(seconds, 0).UTC(), Subject: strings.TrimSpace(f[5]),
		})
	}
	return commits, nil
}
