package pdata

import (
	"errors"
	"fmt"
	"syscall"
)

// Reasons why metadata cannot be opened or read at all. They are returned wrapped.
var (
	// ErrNotPool says that the first block is not the superblock of a pool.
	ErrNotPool = errors.New("not the metadata of a thin pool")
	// ErrZeroed is an ErrNotPool. It says that the first block is all zeros.
	ErrZeroed = fmt.Errorf("zeroed: no pool was ever made here, or it was wiped: %w", ErrNotPool)
	// ErrSuperblock says that the superblock has impossible contents.
	ErrSuperblock = errors.New("damaged superblock")
	// ErrChecksum says that the checksum of a block is wrong.
	ErrChecksum = errors.New("wrong checksum")
	// ErrVersion says that the version of the format is not 2.
	ErrVersion = errors.New("unknown version of the format")
	// ErrIncompatible says that the superblock has a flag of an unknown incompatible feature.
	ErrIncompatible = errors.New("unknown incompatible features")
	// ErrTruncated says that a block lies beyond the end of the metadata.
	ErrTruncated = errors.New("beyond the end of the metadata, which are truncated")
	// ErrNoHeldRoot says that the pool holds no metadata snapshot.
	ErrNoHeldRoot = errors.New("the pool holds no metadata snapshot: the message reserve_metadata_snap makes it hold one")
	// ErrNoSpaceMap says that a space map of a metadata snapshot was asked for.
	ErrNoSpaceMap = errors.New("a metadata snapshot has no space maps")
	// ErrNoDevice says that the pool has no device of an id, or another one than the one
	// that was opened.
	ErrNoDevice = errors.New("no such device in the pool")
	// ErrChanging says that a live pool changed each time that it was read.
	ErrChanging = errors.New("the pool changes faster than it can be read")
)

// Tree names a structure in the metadata.
type Tree string

// The structures in the metadata, and what their keys are.
const (
	TreeDevices  Tree = "device tree"        // the mapping tree's top level, by device id
	TreeDetails  Tree = "device details"     // by device id
	TreeMappings Tree = "mapping tree"       // one device's, by virtual block
	TreeData     Tree = "data space map"     // by data block
	TreeMetadata Tree = "metadata space map" // by metadata block
)

// keyNames are the words for the keys of each tree.
var keyNames = map[Tree]string{
	TreeDevices: "devices", TreeDetails: "devices", TreeMappings: "virtual blocks",
	TreeData: "data blocks", TreeMetadata: "metadata blocks",
}

// DamageError says that a range of keys of a tree cannot be read: a block breaks the rules of
// the format, or could not be read from the disk. It unwraps to EIO and to its cause.
type DamageError struct {
	Tree   Tree
	Device uint32 // whose tree it is, if Tree is TreeMappings
	// Block is the damaged metadata block, or the block that a wrong number leads to.
	Block uint64
	// KeyBegin is the first lost key, KeyEnd the one after the last lost key.
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

// MismatchError says that only one of the device tree and the device details has an id, though
// neither is damaged there. It unwraps to EIO.
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
