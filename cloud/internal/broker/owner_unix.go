//go:build unix

package broker

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner and group that was had.
func keepOwner(f *os.File, was fs.FileInfo) error {
	st, ok := was.Sys().(*syscall.Stat_t)
	if !ok || (int(st.Uid) == os.Geteuid() && int(st.Gid) == os.Getegid()) {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}
