package evidence

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const (
	maxObjects    = 2_000_000
	maxPackMemory = 1 << 30 // bytes of objects
)

// pack holds the objects of a Git bundle (gitformat-bundle(5), gitformat-pack(5)) by their
// names, which are the hashes of their contents.
type pack struct {
	refs    map[string]string // name -> commit
	objects map[string]gitObject
}

type gitObject struct {
	kind    string
	content []byte
}

var objectKinds = map[byte]string{1: "commit", 2: "tree", 3: "blob", 4: "tag"}

// readPack reads a bundle as Slipway makes them, without deltas.
func readPack(r io.Reader) (*pack, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	p := &pack{refs: map[string]string{}, objects: map[string]gitObject{}}
	name := hash.Hash(sha1.New())
	head, err := headLine(b)
	if err != nil {
		return nil, err
	}
	switch head {
	case "# v2 git bundle":
	case "# v3 git bundle":
		if format, err := headLine(b); err != nil || format != "@object-format=sha256" {
			return nil, errors.New("it is a bundle of objects that are named in another way")
		}
		name = sha256.New()
	default:
		return nil, errors.New("it is not a Git bundle")
	}
	for {
		line, err := headLine(b)
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		if strings.HasPrefix(line, "-") {
			continue // what a clone must have
		}
		commit, ref, ok := strings.Cut(line, " ")
		if !ok || len(p.refs) > MaxEvents {
			return nil, errors.New("its list of commits cannot be read")
		}
		p.refs[ref] = commit
	}
	return p, p.read(b, name)
}

func headLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadSlice('\n')
	if err != nil || len(line) > 2048 {
		return "", errors.New("its head cannot be read")
	}
	return strings.TrimSuffix(string(line), "\n"), nil
}

func (p *pack) read(b *bufio.Reader, name hash.Hash) error {
	var head [12]byte
	if _, err := io.ReadFull(b, head[:]); err != nil || string(head[:8]) != "PACK\x00\x00\x00\x02" {
		return errors.New("it holds no pack")
	}
	n := binary.BigEndian.Uint32(head[8:])
	if n > maxObjects {
		return fmt.Errorf("it has %d objects, more than any bundle of evidence", n)
	}
	left := int64(maxPackMemory)
	for i := range n {
		kind, size, err := objectHead(b)
		if err != nil {
			return fmt.Errorf("object %d: %w", i+1, err)
		}
		if left -= size + 64; left < 0 {
			return fmt.Errorf("its objects have more than %d bytes", int64(maxPackMemory))
		}
		content, err := inflate(b, size)
		if err != nil {
			return fmt.Errorf("object %d: %w", i+1, err)
		}
		name.Reset()
		fmt.Fprintf(name, "%s %d\x00", kind, size)
		name.Write(content)
		p.objects[hex.EncodeToString(name.Sum(nil))] = gitObject{kind, content}
	}
	// The pack's own checksum says nothing that the names do not.
	return nil
}

func objectHead(b *bufio.Reader) (kind string, size int64, err error) {
	c, err := b.ReadByte()
	if err != nil {
		return "", 0, err
	}
	kind, ok := objectKinds[c>>4&7]
	if !ok {
		return "", 0, errors.New("it is a difference to another object, which bundles of evidence do not have")
	}
	size = int64(c & 0x0f)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = b.ReadByte(); err != nil || shift > 32 {
			return "", 0, errors.New("its size cannot be read")
		}
		size |= int64(c&0x7f) << shift
	}
	if size > maxPackMemory {
		return "", 0, errors.New("it is larger than any object")
	}
	return kind, size, nil
}

// inflate reads one zlib stream and nothing beyond it: b gives single bytes, so that the
// reader takes no more than it needs.
func inflate(b *bufio.Reader, size int64) ([]byte, error) {
	z, err := zlib.NewReader(b)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if n, err := io.Copy(&content, io.LimitReader(z, size+1)); err != nil || n != size {
		return nil, errors.New("its content is not as long as its head says")
	}
	if _, err := z.Read(make([]byte, 1)); err != io.EOF {
		return nil, errors.New("its content is not as long as its head says")
	}
	return content.Bytes(), z.Close()
}

// commit is a commit object in parts.
type commit struct {
	tree      string
	parents   []string
	message   string
	signature string // armoured
	signed    []byte // what the signature is over
}

func (p *pack) commit(oid string) (*commit, error) {
	o, ok := p.objects[oid]
	if !ok || o.kind != "commit" {
		return nil, errors.New("the commit is not in the bundle")
	}
	head, message, ok := strings.Cut(string(o.content), "\n\n")
	if !ok {
		return nil, errors.New("the commit cannot be read")
	}
	c := &commit{message: message}
	var signed, signature strings.Builder
	in := false
	for line := range strings.SplitSeq(head, "\n") {
		if rest, ok := strings.CutPrefix(line, "gpgsig "); ok && !in && signature.Len() == 0 {
			in = true
			signature.WriteString(rest + "\n")
			continue
		}
		if in = in && strings.HasPrefix(line, " "); in {
			signature.WriteString(line[1:] + "\n")
			continue
		}
		signed.WriteString(line + "\n")
		if tree, ok := strings.CutPrefix(line, "tree "); ok && c.tree == "" {
			c.tree = tree
		} else if parent, ok := strings.CutPrefix(line, "parent "); ok {
			c.parents = append(c.parents, parent)
		}
	}
	c.signature, c.signed = signature.String(), []byte(signed.String()+"\n"+message)
	return c, nil
}

// file is a file in a commit's tree.
func (p *pack) file(oid, path string) ([]byte, error) {
	c, err := p.commit(oid)
	if err != nil {
		return nil, err
	}
	at, kind := c.tree, "tree"
	for name := range strings.SplitSeq(path, "/") {
		o := p.objects[at]
		if o.kind != "tree" || kind != "tree" {
			return nil, errors.New("the folder is not in the bundle")
		}
		if at, kind = entryOf(o.content, name, len(oid)/2); at == "" {
			return nil, errors.New("the commit has no such file")
		}
	}
	o := p.objects[at]
	if o.kind != "blob" || kind != "blob" {
		return nil, errors.New("the file is not in the bundle")
	}
	return o.content, nil
}

// entryOf finds an entry of a tree object.
func entryOf(tree []byte, want string, size int) (oid, kind string) {
	for len(tree) > 0 {
		head, rest, ok := bytes.Cut(tree, []byte{0})
		mode, name, _ := strings.Cut(string(head), " ")
		if !ok || len(rest) < size {
			return "", ""
		}
		if name == want {
			kind = "blob"
			if mode == "40000" {
				kind = "tree"
			}
			return hex.EncodeToString(rest[:size]), kind
		}
		tree = rest[size:]
	}
	return "", ""
}
