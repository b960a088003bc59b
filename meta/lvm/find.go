package lvm

import (
	"context"
	"errors"
	"io/fs"
)

// find lists the volume groups of this host: by their names, or by their ids if two have one name.
// Disks that cannot be read are left out, as those of drives without a disk. But it is an error if the
// process may not read any.
func find(ctx context.Context) ([]string, error) {
	return await(ctx, func() ([]string, error) {
		paths, _, err := system.disks(ctx)
		if err != nil {
			return nil, err
		}
		devices, failed, closeAll, err := openAll(ctx, paths)
		defer closeAll()
		if err == nil && len(devices) == 0 {
			return nil, nil
		}
		if err != nil {
			if all := errors.Join(failed...); !errors.Is(all, fs.ErrPermission) {
				return nil, ctx.Err()
			}
			return nil, err
		}
		return groupNames(ctx, devices)
	})
}

// groupNames are the names of the groups on devices, and the ids of those whose name others have too.
func groupNames(ctx context.Context, devices []Device) (names []string, err error) {
	disks, _, err := scanAll(ctx, devices)
	if err != nil {
		return nil, ctx.Err() // nothing of LVM's is there
	}
	groups, _, err := readGroups(ctx, disks)
	if err != nil {
		return nil, err
	}
	count := make(map[string]int)
	for _, c := range groups {
		count[c.group.Name]++
	}
	for _, c := range groups {
		if count[c.group.Name] > 1 {
			names = append(names, c.group.ID)
		} else {
			names = append(names, c.group.Name)
		}
	}
	return names, nil
}
