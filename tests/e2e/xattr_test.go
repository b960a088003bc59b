package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

var someone = fmt.Sprint(someUser)

// TestAttributesAreListedToWhomTheKernelListsThem asks, as different processes, for the
// extended attributes of files in the tree and in the kernel's mount of the same volume.
func TestAttributesAreListedToWhomTheKernelListsThem(t *testing.T) {
	t.Parallel()
	needs(t, tool("setfattr"), tool("getfattr"), tool("setfacl"), tool("setcap"), tool("setpriv"), tool("unshare"))
	source, kernel := filledVolume(t, "attributes", `
		chmod 755 .
		mkdir opaque plain
		setfattr -n trusted.overlay.opaque -v y opaque
		setfattr -n user.note -v text opaque
		setfattr -n security.label -v s opaque
		setfacl -m u:`+someone+`:rx -d -m u:`+someone+`:rx opaque
		setfattr -n user.note -v text plain
		echo x > file; chmod 755 file; setcap cap_net_raw+ep file; setfattr -n trusted.x -v 1 file; setfattr -n trusted.y -v 2 file
		ln -s file link; setfattr -h -n trusted.link -v 1 link
		echo x > trusted; setfattr -n trusted.only -v 1 trusted`)
	open(t, kernel)
	for name, options := range map[string][]string{"for the one who mounted": nil, "for all": {"--allow-other"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mnt := mount(t, append(options, source...)...)
			open(t, mnt)
			for _, who := range []struct {
				name   string
				others bool // are let in only if all are
				by     []string
			}{
				{"root", false, nil},
				{"root without CAP_SYS_ADMIN", false, []string{"setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"}},
				{"root without any capability", false, []string{"setpriv", "--bounding-set", "-all", "--inh-caps", "-all"}},
				{"root of a PID namespace", false, []string{"unshare", "--pid", "--fork"}},
				{"root of a user namespace", false, []string{"unshare", "-Ur"}},
				{"an ordinary user", true, []string{"setpriv", "--reuid", someone, "--regid", "7777", "--clear-groups"}},
				{"root of an ordinary user's namespace", true, []string{"setpriv", "--reuid", someone, "--regid", "7777", "--clear-groups", "unshare", "-Ur"}},
				{"an ordinary user with CAP_SYS_ADMIN", true, []string{
					"setpriv", "--reuid", someone, "--regid", "7777", "--clear-groups", "--inh-caps", "+sys_admin", "--ambient-caps", "+sys_admin",
				}},
			} {
				if who.others && options == nil {
					continue
				}
				t.Run(who.name, func(t *testing.T) {
					t.Parallel()
					got, want := attributes(t, filepath.Join(mnt, "volumes/attributes"), who.by), attributes(t, kernel, who.by)
					if got != want {
						t.Errorf("through thintree:\n%s\nthrough the kernel:\n%s", got, want)
					}
				})
			}
		})
	}
}

// attributes are the names that a process is listed in a folder, and what it gets when
// it asks for attributes by name, listed or not.
func attributes(t *testing.T, dir string, by []string) string {
	t.Helper()
	const look = `cd "$1" || exit
		for f in opaque plain file link trusted; do
			echo "$f: $(getfattr -h -m - "$f" 2>&1 | grep -v '^#' | sort | tr '\n' ' ')"
			for name in trusted.overlay.opaque trusted.x trusted.link user.note security.label security.capability system.posix_acl_access; do
				getfattr -h -e hex -n $name "$f" 2>&1 | grep -v '^#'
			done
		done`
	args := append(append([]string{}, by...), "bash", "-c", look, "look", dir)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	r := runCommand(t, cmd)
	if r.status != 0 && r.status != 1 || r.stdout == "" {
		t.Fatalf("%v: exit status %d: %s", by, r.status, r.stderr)
	}
	return r.stdout
}
