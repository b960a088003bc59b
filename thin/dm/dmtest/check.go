package dmtest

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// checkHeader reports whether a header is valid. It refuses what the kernel refuses, and
// also what would make the kernel read beyond the buffer or misunderstand the request.
func (k *Kernel) checkHeader(command uint, h *unix.DmIoctl, length int) bool {
	before := len(k.violations)
	wrong := func(is bool, format string, args ...any) {
		if is {
			k.violated("ioctl %#x: "+format, append([]any{command}, args...)...)
		}
	}
	wrong(h.Data_size < headerBytes || int64(h.Data_size) > int64(length), "data_size is %d, of a buffer of %d bytes", h.Data_size, length)
	wrong(h.Data_start != headerBytes, "data_start is %d, behind a header of %d bytes", h.Data_start, headerBytes)
	wrong(!bytes.Contains(h.Name[:], []byte{0}), "the name does not end")
	wrong(!bytes.Contains(h.Uuid[:], []byte{0}), "the UUID does not end")
	wrong(h.Dev != 0, "a device number beside a name")
	name, uuid := h.Name[0] != 0, h.Uuid[0] != 0
	wrong(name && uuid && command != unix.DM_DEV_CREATE, "both a name and a UUID")
	return len(k.violations) == before
}

// spec is a target in a request to load a table.
type spec struct {
	start, length uint64
	kind, params  string
}

// readSpecs reads a table.
func (k *Kernel) readSpecs(p *param) ([]spec, error) {
	count, left := p.header.Target_count, p.data[headerBytes:]
	if count == 0 {
		return nil, unix.EINVAL
	}
	var specs []spec
	for i := range count {
		if len(left) < unix.SizeofDmTargetSpec {
			k.violated("load %s: target %d of %d lies beyond the buffer", p.passed, i, count)
			return nil, unix.EINVAL
		}
		next := int64(native.Uint32(left[20:]))
		own := left
		if next >= unix.SizeofDmTargetSpec && next <= int64(len(left)) {
			own = left[:next]
		}
		s := spec{
			start:  native.Uint64(left[0:]),
			length: native.Uint64(left[8:]),
			kind:   cString(left[24:unix.SizeofDmTargetSpec]),
			params: cString(own[unix.SizeofDmTargetSpec:]),
		}
		end := unix.SizeofDmTargetSpec + len(s.params)
		switch {
		case len(s.kind) == unix.DM_MAX_TYPE_NAME:
			k.violated("load %s: the type of target %d does not end", p.passed, i)
		case end == len(own):
			k.violated("load %s: the parameters of target %d do not end", p.passed, i)
		case next%8 != 0 || int(next) != len(own):
			k.violated("load %s: next of target %d is %d, with %d bytes left", p.passed, i, next, len(left))
		case native.Uint32(left[16:]) != 0:
			k.violated("load %s: status of target %d is set", p.passed, i)
		default:
			specs = append(specs, s)
			left = left[next:]
			continue
		}
		return nil, unix.EINVAL
	}
	return specs, nil
}

// readString reads a string from the data.
func (k *Kernel) readString(p *param, offset int) (string, error) {
	if len(p.data) < headerBytes+offset || !bytes.Contains(p.data[headerBytes+offset:], []byte{0}) {
		k.violated("%s: a string does not end within the buffer", p.passed)
		return "", unix.EINVAL
	}
	return cString(p.data[headerBytes+offset:]), nil
}
