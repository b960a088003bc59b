package probe

// class is the class of a format. It decides which other signatures are hidden.
type class int

const (
	filesystem class = iota
	raid             // hides filesystems and partition tables
	crypto           // hides filesystems
	other
)

// format is one entry of the table of signatures. probe returns nil if the volume does not
// have it.
type format struct {
	class    class
	minSize  int64 // of the volume in bytes
	tolerant bool  // may be in a volume with another tolerant one
	probe    func(*prober) *Signature
}

// formats are in blkid's order.
var formats = []format{
	{class: raid, probe: probeMD},
	{class: other, minSize: 8192, probe: probeBcache},
	{class: filesystem, minSize: 128 << 10, probe: probeBcachefs},
	{class: raid, probe: probeLVM2},
	{class: other, probe: probeSnapshotCOW},
	{class: crypto, probe: probeVerity},
	{class: crypto, probe: probeIntegrity},
	{class: crypto, probe: probeLUKS},
	{class: other, probe: probeVDO},
	{class: raid, minSize: 8192, probe: probeStratis},
	{class: crypto, probe: probeBitLocker},
	{class: filesystem, probe: probeFAT},
	{class: other, minSize: 40960, probe: probeSuspend},
	{class: other, minSize: 40960, probe: probeSwap},
	{class: filesystem, probe: probeXFS},
	{class: filesystem, probe: probeExt},
	{class: other, probe: probeJBD},
	{class: filesystem, minSize: 128 << 10, probe: probeReiserFS},
	{class: filesystem, minSize: 16 << 20, probe: probeJFS},
	{class: filesystem, tolerant: true, probe: probeUDF},
	{class: filesystem, tolerant: true, probe: probeISO9660},
	{class: other, minSize: 64 << 20, probe: probeZFS},
	{class: filesystem, probe: probeHFSPlus},
	{class: filesystem, tolerant: true, probe: probeHFS},
	{class: filesystem, probe: probeUFS},
	{class: filesystem, probe: probeNTFS},
	{class: filesystem, probe: probeReFS},
	{class: filesystem, probe: probeCramfs},
	{class: filesystem, probe: probeRomfs},
	{class: filesystem, probe: probeMinix},
	{class: filesystem, minSize: 32 << 20, probe: probeGFS},
	{class: filesystem, minSize: 14000 << 10, probe: probeOCFS2},
	{class: filesystem, probe: probeSquashfs},
	{class: filesystem, minSize: 1 << 20, probe: probeBtrfs},
	{class: filesystem, minSize: 1 << 20, probe: probeNILFS2},
	{class: filesystem, probe: probeExFAT},
	{class: filesystem, probe: probeF2FS},
	{class: filesystem, probe: probeAPFS},
	{class: filesystem, probe: probeEROFS},
}
