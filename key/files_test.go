package key_test

import (
	"testing"

	"slipway/key"
	"slipway/key/keytest"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	keytest.Run(t, keytest.Store{
		Open: func(t testing.TB) key.Manager {
			files, err := key.OpenFiles(dir, []byte("a passphrase"))
			if err != nil {
				t.Fatal(err)
			}
			return files
		},
		Kinds: key.Kinds(),
	})
	keytest.NoneIn(t, dir)
}

func BenchmarkFiles(b *testing.B) {
	files, err := key.OpenFiles(b.TempDir(), []byte("a passphrase"))
	if err != nil {
		b.Fatal(err)
	}
	keytest.Bench(b, files, key.ECDSAP256, key.RSA2048, key.Ed25519)
}
