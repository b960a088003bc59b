// Package record reads and writes the records that Docker's devicemapper driver
// keeps of its devices: a folder with a JSON file for each device, and two for all
// of them. containers/storage keeps the same.
//
// What is written is what Docker writes, to the byte. A record is whole or as it
// was before, whenever the process or the machine stops: it is written to a file
// that no reader looks at, synced, and renamed, and its folder is synced
// ([WriteDevice]). What a process that was stopped leaves is cleared by [Sweep].
// Two that write to one folder at once must agree by other means.
//
// Records of other kinds lie beside them in Docker's layout, so what reads them
// with care is here too: files of bounded length, never a link, a pipe or a
// device in their place ([Folder.ReadFile]), many at once ([Each]). Access times stay as
// they are where the caller may ask for that.
//
// The format is that of daemon/graphdriver/devmapper/deviceset.go of Docker 24.
package record
