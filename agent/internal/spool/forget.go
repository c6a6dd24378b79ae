package spool

import (
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// forgetEvery is after how many reads the process gives the pages of the file
// back that it has touched.
const forgetEvery = 16

// forget takes the pages of the mapped file out of this process's memory. They
// stay in the kernel's cache as long as that has room, and come back by
// themselves when they are touched; but a board that drains a week of backlog
// must not hold all of the file on its way. The transaction keeps bbolt from
// mapping the file anew meanwhile.
func forget(tx *bolt.Tx) {
	// An error costs memory and nothing else.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, tx.DB().Info().Data, uintptr(tx.Size()), syscall.MADV_DONTNEED)
}
