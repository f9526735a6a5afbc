package client

import (
	"context"
	"net/url"
	"time"

	"slipway/evidence/controls"
)

// Controls says what is evidence for which control, by the server's mapping, with how many
// events there are in a period. A zero time does not bound it.
func (c *Client) Controls(ctx context.Context, from, to time.Time) (*controls.Coverage, error) {
	v := url.Values{}
	moment(v, "from", from)
	moment(v, "to", to)
	out := new(controls.Coverage)
	if err := c.json(ctx, call{method: get, path: api("controls"), query: v, repeat: true}, out); err != nil {
		return nil, err
	}
	return out, nil
}
