package ext4

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE

func (f *filler) files() {
	f.sizes()
	f.holes()
	f.unwritten()
	f.fragments()
}

// sizes are around what an inode holds (60 bytes and the room behind), a block,
// and what the block map addresses without and with one indirect block.
func (f *filler) sizes() {
	dir := f.mkdir("sizes")
	b := f.blockSize
	for _, size := range []int64{
		0, 1, 59, 60, 61, 100, 123, 155, 156, 157, 160, 200, 400, 700, b - 1, b, b + 1, 3*b + 7,
		12*b - 1, 12 * b, 12*b + 1, (12+b/4)*b - 1, (12 + b/4) * b, (12+b/4)*b + 1,
	} {
		f.write(fmt.Sprintf("%s/%d", dir, size), f.bytes(size))
	}
	f.create(dir+"/grown from inline", func(file *os.File) {
		f.writeAt(file, 0, 50)
		f.must(file.Sync())
		f.writeAt(file, 50, 3000)
	})
	f.create(dir+"/cut", func(file *os.File) {
		f.writeAt(file, 0, 5*b)
		f.must(file.Sync())
		f.must(file.Truncate(2*b + 11))
		f.must(file.Truncate(7 * b))
	})
}

func (f *filler) holes() {
	dir := f.mkdir("holes")
	b := f.blockSize
	f.create(dir+"/only a hole", func(file *os.File) { f.must(file.Truncate(100*b + 1)) })
	f.create(dir+"/small hole", func(file *os.File) { f.must(file.Truncate(40)) })
	f.create(dir+"/hole at the end", func(file *os.File) {
		f.writeAt(file, 0, 3)
		f.must(file.Truncate(9 * b))
	})
	f.create(dir+"/many", func(file *os.File) {
		for i := range int64(60) {
			f.writeAt(file, i*i*3*b+i*17, 1+i*b/16)
		}
	})

	// Where the block map goes from direct to one, two and three levels.
	n := b / 4
	f.create(dir+"/levels", func(file *os.File) {
		for _, block := range []int64{0, 11, 12, 12 + n - 1, 12 + n, 12 + n + n*n - 1, 12 + n + n*n, 12 + n + n*n + n*n/2} {
			f.writeAt(file, block*b, b)
		}
	})
	f.create(dir+"/5 GiB", func(file *os.File) { f.writeAt(file, 5*gib-3, 10) })
	f.create(dir+"/3 TiB", func(file *os.File) {
		f.writeAt(file, 0, 1)
		f.writeAt(file, 3<<40+b/2, 2*b)
	})
	f.create(dir+"/1 TiB of hole", func(file *os.File) {
		f.optional(file.Truncate(1<<40), "1 TiB")
	})
}

func (f *filler) unwritten() {
	dir := f.mkdir("unwritten")
	b := f.blockSize
	f.create(dir+"/whole", func(file *os.File) { f.allocate(file, 0, 0, 30*b) })
	f.create(dir+"/beyond the end", func(file *os.File) {
		f.writeAt(file, 0, b+1)
		f.allocate(file, unix.FALLOC_FL_KEEP_SIZE, 0, 64*b)
	})
	f.create(dir+"/written in parts", func(file *os.File) {
		if f.allocate(file, 0, 0, 1000*b) {
			for i := int64(5); i < 1000; i += 37 {
				f.writeAt(file, i*b+3, b/2+i)
			}
		}
	})
	f.create(dir+"/zeroed", func(file *os.File) {
		f.writeAt(file, 0, 40*b)
		f.must(file.Sync())
		f.allocate(file, unix.FALLOC_FL_ZERO_RANGE, 7*b+5, 9*b)
	})
	f.create(dir+"/collapsed and inserted", func(file *os.File) {
		const cluster = 64 * kib // as large as any of the features has
		f.writeAt(file, 0, 6*cluster+100)
		f.must(file.Sync())
		f.allocate(file, unix.FALLOC_FL_COLLAPSE_RANGE, cluster, cluster)
		f.allocate(file, unix.FALLOC_FL_INSERT_RANGE, 2*cluster, 2*cluster)
	})
	f.create(dir+"/hole, unwritten, data", func(file *os.File) {
		f.allocate(file, 0, 10*b, 10*b)
		f.writeAt(file, 20*b, b)
		f.allocate(file, 0, 25*b, 1)
	})
}

// fragments have enough extents for a tree with a level of index blocks.
func (f *filler) fragments() {
	dir := f.mkdir("fragments")
	b := f.blockSize
	f.create(dir+"/written", func(file *os.File) {
		for i := range int64(1500) {
			f.writeAt(file, 2*i*b, b-i%2)
		}
	})
	f.create(dir+"/punched", func(file *os.File) {
		f.writeAt(file, 0, 800*b)
		f.must(file.Sync())
		for i := range int64(400) {
			if !f.allocate(file, punch, 2*i*b, b) {
				return
			}
		}
		f.allocate(file, punch, 300*b+9, 50*b)
	})
}
