// Package record reads and writes the records of Docker's devicemapper driver, which
// containers/storage has too: a folder with a JSON file for each device, and two files
// about all devices. It also describes the layout of the store that has this folder and the
// pool (layout.go).
//
// The files are byte for byte what Docker writes. A write replaces a record atomically,
// also if the process or the machine stops: it writes and syncs a temporary file, renames
// it, and syncs the folder ([WriteDevice]). [Sweep] removes temporary files that a stopped
// process left. Processes that write to the same folder must exclude each other by other
// means.
//
// Docker has other records too, of images and containers. For them this package offers what
// it uses itself: [Folder.ReadFile] reads a file of bounded length and refuses links, pipes
// and devices; [Each] reads many files at once. Reading leaves access times as they are, if
// the process has the right to that.
//
// The format is that of daemon/graphdriver/devmapper/deviceset.go of Docker 24.
package record
