package pool

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/thin/blockdev"
	"thintree/thin/resolve"
)

const (
	deviceIDBits = 24

	// maxFolderBytes is the greatest length of a folder's name (NAME_MAX), and maxNameBytes
	// that of a volume's name, whose slashes make folders (PATH_MAX).
	maxFolderBytes = 255
	maxNameBytes   = 4095

	// usualLineBytes is the usual length of a line. It gives the number of volumes to make
	// room for at first, at most maxExpected.
	usualLineBytes = 24
	maxExpected    = 1 << 16
)

func namesError(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("names: %s: %w", path, err)
}

// readNames reads a file of names for a pool. Its memory is bounded, because each line names another
// of the pool's 1<<24 devices.
func readNames(path, pool string) ([]meta.Volume, error) {
	// The file is read again after a change. A pipe could not be read again.
	fd, err := resolve.Open(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, namesError(path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, namesError(path, err)
	case !st.Mode().IsRegular():
		return nil, namesError(path, errors.New("not a regular file"))
	}
	count := min(st.Size()/usualLineBytes, maxExpected)
	volumes := make([]meta.Volume, 0, count)
	ids, names := make(map[uint32]int, count), make(map[string]int, count) // lines
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		n++
		fields := strings.Fields(lines.Text())
		if i := slices.IndexFunc(fields, func(f string) bool { return f[0] == '#' }); i >= 0 {
			fields = fields[:i]
		}
		if len(fields) == 0 {
			continue
		}
		v, err := parseLine(fields)
		switch {
		case err != nil:
		case ids[v.DeviceID] != 0:
			err = fmt.Errorf("device %d already has a name, in line %d", v.DeviceID, ids[v.DeviceID])
		case names[v.Name] != 0:
			err = fmt.Errorf("the name %q is already given, in line %d", v.Name, names[v.Name])
		}
		if err != nil {
			return nil, namesError(path, fmt.Errorf("line %d: %w", n, err))
		}
		ids[v.DeviceID], names[v.Name] = n, n
		v.Pool, v.Record = pool, path
		volumes = append(volumes, v)
	}
	if err := lines.Err(); err != nil {
		return nil, namesError(path, fmt.Errorf("line %d: %w", n+1, err))
	}
	return volumes, nil
}

// parseLine parses the words of a line, at least one.
func parseLine(words []string) (meta.Volume, error) {
	if len(words) != 3 {
		return meta.Volume{}, fmt.Errorf("%d words instead of three: device_id size_in_sectors name", len(words))
	}
	id, err := strconv.ParseUint(words[0], 10, deviceIDBits)
	if err != nil {
		return meta.Volume{}, fmt.Errorf("device_id %.40q is not a number from 0 to %d", words[0], 1<<deviceIDBits-1)
	}
	sectors, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil || sectors <= 0 || sectors > math.MaxInt64/blockdev.SectorBytes {
		return meta.Volume{}, fmt.Errorf("size_in_sectors %.40q is not a number from 1 to %d", words[1], int64(math.MaxInt64/blockdev.SectorBytes))
	}
	name := words[2]
	switch {
	case !isPath(name):
		return meta.Volume{}, fmt.Errorf("the name %.80q is not a valid path of folders", name)
	case name[0] == '@':
		return meta.Volume{}, fmt.Errorf("the name %q begins with @, which marks an id", name)
	}
	return meta.Volume{
		Name: name, DeviceID: uint32(id), SizeBytes: sectors * blockdev.SectorBytes, Role: meta.RoleVolume,
	}, nil
}

// isPath reports whether a name can be a path below a folder.
func isPath(name string) bool {
	for folder := range strings.SplitSeq(name, "/") {
		if folder == "" || folder == "." || folder == ".." || len(folder) > maxFolderBytes {
			return false
		}
	}
	return len(name) <= maxNameBytes && !strings.Contains(name, "\x00")
}
