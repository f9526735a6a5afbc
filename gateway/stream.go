package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// writer counts what goes to the client. A client that takes nothing for stallTimeout
// is given up; one that waits for an app that says nothing is not.
type writer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

func (w *writer) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.control.SetWriteDeadline(time.Now().Add(stallTimeout))
	n, err := w.ResponseWriter.Write(p)
	w.control.SetWriteDeadline(time.Time{})
	w.bytes += int64(n)
	return n, err
}

// Hijack is for upgrades, whose answer goes past WriteHeader.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return w.control.Hijack()
}

// Unwrap lets net/http flush.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// body is what a client sends. One that sends nothing for stallTimeout is given up.
type body struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *body) Read(p []byte) (int, error) {
	b.control.SetReadDeadline(time.Now().Add(stallTimeout))
	n, err := b.ReadCloser.Read(p)
	b.control.SetReadDeadline(time.Time{})
	return n, err
}

// buffers lends what bodies are copied through, which is much for a short answer.
type buffers struct{ pool sync.Pool }

const copyBuffer = 32 << 10

func (b *buffers) Get() []byte {
	if lent, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return lent[:]
	}
	return make([]byte, copyBuffer)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[copyBuffer]byte)(p)) }

// bounded takes no more connections at a time than it is told, and of one address no
// more than its share: the rest is closed at once, before anything is spent on it.
type bounded struct {
	net.Listener
	all, each int
	counters  *Counters

	mu   sync.Mutex // held over the counting of one connection
	open int
	from map[netip.Addr]int
}

func newBounded(l net.Listener, all, each int, c *Counters) *bounded {
	return &bounded{Listener: l, all: all, each: each, counters: c, from: map[netip.Addr]int{}}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if peer.Is6() {
			// A network of this size is one customer's (RFC 6177).
			if network, err := peer.Prefix(64); err == nil {
				peer = network.Addr()
			}
		}
		if b.take(peer) {
			return &counted{Conn: c, release: func() { b.give(peer) }}, nil
		}
		b.counters.Refused.Add(1)
		c.Close()
	}
}

func (b *bounded) take(peer netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open >= b.all || b.from[peer] >= b.each {
		return false
	}
	b.open++
	b.from[peer]++
	b.counters.Connections.Add(1)
	return true
}

func (b *bounded) give(peer netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.from[peer]--; b.from[peer] == 0 {
		delete(b.from, peer)
	}
	b.counters.Connections.Add(-1)
}

type counted struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *counted) Close() error {
	c.once.Do(c.release)
	return c.Conn.Close()
}
