package kms

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// writable is what must not be set on a module or a directory above it.
const writable = 0o022

// trustModule resolves a PKCS #11 module's file, and refuses one that anybody but the
// machine's administrator could have put there. Loading it runs it within the server,
// and the settings that name it come from a repository: without this, who may change
// those and write any file could run anything.
func trustModule(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("module-path: %.200q is not the whole path of a file", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("module-path: %w", err)
	}
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return "", fmt.Errorf("module-path: %w", err)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || owner.Uid != 0 || info.Mode().Perm()&writable != 0 {
			return "", fmt.Errorf("module-path: %s can be changed by others than this machine's administrator, and loading it would run what they put there. Install the module where only root can write, for example below /usr/lib", at)
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	if info, err := os.Stat(real); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("module-path: %s is not a file", real)
	}
	return real, nil
}
