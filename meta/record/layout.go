package record

// The layout of a store, as paths below its folder.
const (
	RecordsDir   = "metadata"     // the folder of the records
	PoolDir      = "devicemapper" // the folder of the pool's files, unless the pool is on devices
	PoolMetadata = PoolDir + "/metadata"
	PoolData     = PoolDir + "/data"
	SetupFile    = "setup-config.json" // of a pool that the driver made on a device: see [ReadSetup]
)

// FilesDir is the folder with the files in every volume except the base device.
const FilesDir = "rootfs"

// The usual places of stores.
const (
	OwnStore    = "/var/lib/thintree"
	DockerRoot  = "/var/lib/docker"
	StorageRoot = "/var/lib/containers/storage"
	UserRoot    = "/.local/share/containers/storage" // of containers/storage, in a home folder
	DockerStore = "devicemapper"                     // the store in a root of Docker or containers/storage
)

// StorageLayers is the folder of layers in a root of containers/storage. Docker's roots have
// none.
const StorageLayers = "devicemapper-layers"
