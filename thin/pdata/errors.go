package pdata

import (
	"errors"
	"fmt"
	"syscall"
)

// Why metadata cannot be opened or read at all. They come wrapped.
var (
	// ErrNotPool is of a first block that is no pool's superblock.
	ErrNotPool = errors.New("not the metadata of a thin pool")
	// ErrZeroed is an ErrNotPool, of a first block that is all zeros.
	ErrZeroed = fmt.Errorf("zeroed: no pool was ever made here, or it was wiped: %w", ErrNotPool)
	// ErrSuperblock is of a superblock with impossible contents.
	ErrSuperblock = errors.New("damaged superblock")
	// ErrChecksum is of a block whose checksum does not hold.
	ErrChecksum = errors.New("wrong checksum")
	// ErrVersion is of a format version other than 2.
	ErrVersion = errors.New("unknown version of the format")
	// ErrIncompatible is of an incompatible feature that is not known here.
	ErrIncompatible = errors.New("unknown incompatible features")
	// ErrTruncated is of a block that the metadata should have, beyond their end.
	ErrTruncated = errors.New("beyond the end of the metadata, which are truncated")
	// ErrNoHeldRoot is of a pool that holds no metadata snapshot.
	ErrNoHeldRoot = errors.New("the pool holds no metadata snapshot: the message reserve_metadata_snap makes it hold one")
	// ErrNoSpaceMap is of a metadata snapshot: it has no space maps.
	ErrNoSpaceMap = errors.New("a metadata snapshot has no space maps")
	// ErrNoDevice is of an id that the pool has no device of, or no longer the
	// one that was opened.
	ErrNoDevice = errors.New("no such device in the pool")
	// ErrChanging is of a live pool that changed each time that it was read.
	ErrChanging = errors.New("the pool changes faster than it can be read")
)

// Tree is which of the structures in the metadata.
type Tree string

// The structures in the metadata, and what their keys are.
const (
	TreeDevices  Tree = "device tree"        // the mapping tree's top level, by device id
	TreeDetails  Tree = "device details"     // by device id
	TreeMappings Tree = "mapping tree"       // one device's, by virtual block
	TreeData     Tree = "data space map"     // by data block
	TreeMetadata Tree = "metadata space map" // by metadata block
)

// keyNames are what the keys of a tree are called.
var keyNames = map[Tree]string{
	TreeDevices: "devices", TreeDetails: "devices", TreeMappings: "virtual blocks",
	TreeData: "data blocks", TreeMetadata: "metadata blocks",
}

// DamageError says that a range of keys of a tree cannot be read, because
// something on the disk cannot be what the format allows, or could not be read
// from the disk. It unwraps to EIO and to its cause.
type DamageError struct {
	Tree   Tree
	Device uint32 // whose tree, where Tree is TreeMappings
	// Block is the metadata block that is damaged, or that a wrong number leads
	// to.
	Block uint64
	// KeyBegin is the first key that is lost, KeyEnd the one after the last.
	KeyBegin, KeyEnd uint64
	Err              error // what is wrong
}

func (e *DamageError) Error() string {
	tree := string(e.Tree)
	if e.Tree == TreeMappings {
		tree += fmt.Sprintf(" of device %d", e.Device)
	}
	return fmt.Sprintf("%s: metadata block %d: %v: %s %d to %d cannot be read",
		tree, e.Block, e.Err, keyNames[e.Tree], e.KeyBegin, e.KeyEnd-1)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *DamageError) Unwrap() []error { return []error{syscall.EIO, e.Err} }

// MismatchError says that only one of the device tree and the device details has
// an id, though both can be read there. It unwraps to EIO.
type MismatchError struct {
	ID                    uint32
	InMappings, InDetails bool
}

func (e *MismatchError) Error() string {
	if e.InMappings {
		return fmt.Sprintf("device %d has mappings, but no details", e.ID)
	}
	return fmt.Sprintf("device %d has details, but no mappings", e.ID)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *MismatchError) Unwrap() error { return syscall.EIO }

// NoDeviceError says that a pool has no device of an id. It unwraps to ENXIO.
type NoDeviceError struct{ ID uint32 }

func (e *NoDeviceError) Error() string {
	return fmt.Sprintf("the pool has no device %d: it was deleted, or the record that names it is of another pool", e.ID)
}

// Unwrap makes errors.Is(err, syscall.ENXIO) true.
func (e *NoDeviceError) Unwrap() error { return syscall.ENXIO }
