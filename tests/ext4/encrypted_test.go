package ext4

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Without the key, the kernel shows names made of the ciphertext, and opens
// nothing.
func TestEncryptedFoldersReadAsTheKernelShowsThemWithoutTheKey(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		name   string
		mke2fs []string
	}{
		{"4K blocks", ext4With("-O", "encrypt")},
		{"1K blocks", []string{"-t", "ext4", "-b", "1024", "-O", "encrypt"}},
		{"without dir_index", ext4With("-O", "encrypt,^dir_index")},
		{"inline_data", ext4With("-O", "encrypt,inline_data")},
		{"block maps", ext4With("-O", "encrypt,^extent,^64bit")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, imageSize, c.mke2fs...)
			k := mount(t, image)
			fillEncrypted(t, k)
			k.unmount()
			compare(t, image)
		})
	}
}

func fillEncrypted(t *testing.T, k *kernelMount) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := k.path() + "/secret"
	must(os.Mkdir(secret, 0o755))
	must(os.WriteFile(k.path()+"/in the clear", []byte("plain"), 0o644))
	encrypt(t, secret)

	for _, size := range []int{0, 1, 60, 100, 4096, 4097, 100_000} {
		must(os.WriteFile(fmt.Sprintf("%s/file of %d", secret, size), make([]byte, size), 0o644))
	}
	for _, length := range []int{1, 15, 16, 17, 31, 32, 33, 100, 148, 149, 150, 160, 200, 254, 255} {
		must(os.WriteFile(secret+"/"+strings.Repeat("n", length), nil, 0o644))
	}
	for _, length := range []int{1, 20, 60, 200, 900} {
		must(os.Symlink(strings.Repeat("t", length), fmt.Sprintf("%s/link of %d", secret, length)))
	}
	must(unix.Mknod(secret+"/fifo", unix.S_IFIFO|0o600, 0))
	must(unix.Mknod(secret+"/device", unix.S_IFCHR|0o600, int(unix.Mkdev(5, 6))))
	must(os.MkdirAll(secret+"/folder/in it", 0o700))
	must(os.Mkdir(secret+"/large folder", 0o700))
	for i := range 1500 {
		must(os.WriteFile(fmt.Sprintf("%s/large folder/%d%s", secret, i, strings.Repeat("l", i%200)), nil, 0o644))
	}
	must(unix.Lsetxattr(secret+"/file of 60", "user.x", []byte("not encrypted"), 0))
	k.sync()
}

// encrypt gives an empty folder a key of its own.
func encrypt(t *testing.T, folder string) {
	t.Helper()
	dir, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var key struct {
		unix.FscryptAddKeyArg
		raw [64]byte
	}
	key.Key_spec.Type = unix.FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER
	key.Raw_size = uint32(len(key.raw))
	copy(key.raw[:], "a key that only this test knows")
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), unix.FS_IOC_ADD_ENCRYPTION_KEY, uintptr(unsafe.Pointer(&key))); errno != 0 {
		t.Skip("needs a kernel with file encryption: FS_IOC_ADD_ENCRYPTION_KEY: ", errno)
	}
	policy := unix.FscryptPolicyV2{
		Version: unix.FSCRYPT_POLICY_V2, Contents_encryption_mode: unix.FSCRYPT_MODE_AES_256_XTS,
		Filenames_encryption_mode: unix.FSCRYPT_MODE_AES_256_CTS, Flags: unix.FSCRYPT_POLICY_FLAGS_PAD_16,
	}
	copy(policy.Master_key_identifier[:], key.Key_spec.U[:])
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), unix.FS_IOC_SET_ENCRYPTION_POLICY, uintptr(unsafe.Pointer(&policy))); errno != 0 {
		t.Fatal("FS_IOC_SET_ENCRYPTION_POLICY: ", errno)
	}
}
