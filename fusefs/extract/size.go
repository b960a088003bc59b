package extract

import (
	"context"
	"math"
	"syscall"

	"thintree/fusefs/tree"
)

// Size returns how many bytes the files at and below a node have, with holes: the sum that
// [Copy] reports to Progress. Entries that cannot be read are not counted. An error is that
// of the node itself, or of ctx. Size may be called concurrently.
func Size(ctx context.Context, t *tree.Tree, id tree.NodeID) (int64, error) {
	return sizeOf(ctx, treeSource{t}, id)
}

func sizeOf(ctx context.Context, from source, id tree.NodeID) (int64, error) {
	top, err := from.Stat(ctx, id)
	if err != nil {
		return 0, err
	}
	if !isFolder(top.Attr) {
		return fileBytes(top), nil
	}
	var total int64
	seen := map[tree.NodeID]struct{}{id: {}}
	for todo := []tree.NodeID{id}; len(todo) > 0; {
		l := listing{from: from, id: todo[len(todo)-1]}
		todo = todo[:len(todo)-1]
		if l.dir, err = from.openDir(ctx, l.id); err != nil {
			continue
		}
		for more := true; more && ctx.Err() == nil; {
			var entries []entry
			entries, more, _ = l.next(ctx)
			for _, e := range entries {
				if !validName(e.name) {
					continue
				}
				total += min(fileBytes(e.Entry), math.MaxInt64-total)
				if _, again := seen[e.ID]; isFolder(e.Attr) && !again {
					seen[e.ID] = struct{}{}
					todo = append(todo, e.ID)
				}
			}
		}
		l.dir.Close()
	}
	return total, ctx.Err()
}

// fileBytes is the length of a regular file in bytes, 0 for any other kind.
func fileBytes(e tree.Entry) int64 {
	if e.Attr.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return 0
	}
	return max(e.Attr.Size, 0)
}
