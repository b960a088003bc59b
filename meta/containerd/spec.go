package containerd

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"thintree/meta"
)

// maxSpec is the greatest length of a container's spec, in bytes. Real ones have some 10,000.
const maxSpec = 1 << 20

// spec is the part of a container's spec that is used.
type spec struct {
	Process struct {
		Args []string `json:"args"`
	} `json:"process"`
	Mounts []struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	} `json:"mounts"`
}

// parseSpec parses a container's spec: JSON in a protobuf Any. There is none in a container
// that was made without one.
func parseSpec(record []byte) (s spec, err error) {
	if record == nil {
		return s, nil
	}
	if len(record) > maxSpec {
		return s, fmt.Errorf("its spec is longer than %d bytes", maxSpec)
	}
	text, err := anyValue(record)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return spec{}, fmt.Errorf("its spec: %.200s", err)
	}
	return s, nil
}

var errNotAny = errors.New("it is no protobuf message of the type Any")

// anyValue returns the field value of a protobuf message of the type Any.
func anyValue(message []byte) (value []byte, err error) {
	const (
		valueField = 2
		bytesType  = 2 // the wire type of both fields
	)
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag&7 != bytesType {
			return nil, errNotAny
		}
		message = message[n:]
		length, n := binary.Uvarint(message)
		if n <= 0 || length > uint64(len(message)-n) {
			return nil, errNotAny
		}
		message = message[n:]
		if tag>>3 == valueField {
			value = message[:length]
		}
		message = message[length:]
	}
	return value, nil
}

// mounts are what is mounted in the container, nil if nothing is.
func (s spec) mounts() (mounts []meta.Mount) {
	for _, m := range s.Mounts {
		mounts = append(mounts, meta.Mount{
			Type: m.Type, Source: m.Source, Destination: m.Destination, ReadOnly: slices.Contains(m.Options, "ro"),
		})
	}
	return mounts
}
