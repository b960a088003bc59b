// Package record reads the records that Docker's devicemapper driver keeps of
// its devices: a folder with a JSON file for each device, and two for all of
// them. containers/storage keeps the same.
//
// Records of other kinds lie beside them in Docker's layout, so what reads them
// with care is here too: files of bounded length, never a link, a pipe or a
// device in their place ([ReadFile]), many at once ([Each]). Access times stay as
// they are where the caller may ask for that.
//
// The format is that of daemon/graphdriver/devmapper/deviceset.go of Docker 24.
package record
