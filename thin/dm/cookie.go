package dm

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A cookie is a System V semaphore by which udev says that it is done with a device. The
// kernel's event carries the semaphore's key to udev's rules. Their last step is dmsetup
// udevcomplete, which sets the semaphore to 0. The protocol is that of libdm-common.c: the
// upper half of the key is a magic number, and the lower half is passed to the kernel in
// event_nr.
type cookie struct {
	base uint16
	id   uintptr // the semaphore's
}

const (
	cookieMagic = 0x0D4D
	cookieTries = 16

	// cookieLook is how often a wait looks at ctx.
	cookieLook = 20 * time.Millisecond
)

// semSetVal is SETVAL of sys/sem.h, which x/sys lacks.
const semSetVal = 16

func newCookie() (*cookie, error) {
	for range cookieTries {
		base := uint16(rand.N(1<<16-1) + 1)
		key := uintptr(cookieMagic)<<16 | uintptr(base)
		id, _, errno := unix.Syscall(unix.SYS_SEMGET, key, 1, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
		if errno == unix.EEXIST {
			continue
		}
		if errno != 0 {
			return nil, os.NewSyscallError("semget", errno)
		}
		k := &cookie{base, id}
		if _, _, errno := unix.Syscall6(unix.SYS_SEMCTL, id, 0, semSetVal, 1, 0, 0); errno != 0 {
			k.destroy()
			return nil, os.NewSyscallError("semctl", errno)
		}
		return k, nil
	}
	return nil, errors.New("no free semaphore for a udev cookie")
}

// number is the lower half of event_nr.
func (k *cookie) number() uint32 { return uint32(k.base) }

// wait waits until udev is done. The error is os.ErrDeadlineExceeded if that takes longer
// than patience.
func (k *cookie) wait(ctx context.Context, patience time.Duration) error {
	type sembuf struct {
		num uint16
		op  int16
		flg int16
	}
	deadline := time.Now().Add(patience)
	for {
		zero := sembuf{}
		pause := unix.NsecToTimespec(int64(cookieLook))
		_, _, errno := unix.Syscall6(unix.SYS_SEMTIMEDOP, k.id, uintptr(unsafe.Pointer(&zero)), 1, uintptr(unsafe.Pointer(&pause)), 0, 0)
		switch {
		case errno == 0:
			return nil
		case errno != unix.EAGAIN && errno != unix.EINTR:
			return os.NewSyscallError("semtimedop", errno)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return os.ErrDeadlineExceeded
		}
	}
}

func (k *cookie) destroy() {
	unix.Syscall6(unix.SYS_SEMCTL, k.id, 0, unix.IPC_RMID, 0, 0, 0)
}
