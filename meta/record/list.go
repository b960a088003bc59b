package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// What is read of a list at most.
const (
	maxList    = 1 << 17
	maxDamaged = 100 // errors that are kept
)

// ReadList reads a file with a JSON array of records, in the file's order. An empty file is an
// empty list. damaged has an error for each record that is no T. If the file itself is
// damaged, or has more than 131072 records, err says so and list has the records before. All
// errors have the path. See [Folder.ReadFile].
func ReadList[T any](f *Folder, name string, maxBytes int64) (list []T, damaged []error, err error) {
	text, err := f.ReadFile(name, maxBytes)
	if err != nil || len(text) == 0 {
		return nil, nil, err
	}
	lost := 0
	err = eachValue(text, func(i int, text []byte) {
		var record T
		if err := unmarshal(text, &record); err == nil {
			list = append(list, record)
		} else if lost++; lost <= maxDamaged {
			damaged = append(damaged, fmt.Errorf("%s: record %d: %w", f.Path(name), i+1, err))
		}
	})
	if lost > maxDamaged {
		damaged = append(damaged, fmt.Errorf("%s: %d more records are damaged", f.Path(name), lost-maxDamaged))
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Path(name), err)
	}
	return list, damaged, err
}

// eachValue calls do for each value of a JSON array, or of null, which is an empty one.
func eachValue(text []byte, do func(i int, text []byte)) error {
	d := json.NewDecoder(bytes.NewReader(text))
	first, err := d.Token()
	switch {
	case err != nil:
		return whole(err)
	case first != nil && first != json.Delim('['):
		return errors.New("not a JSON array")
	}
	for i := 0; first != nil && d.More(); i++ {
		if i == maxList {
			return fmt.Errorf("more than %d records", maxList)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return whole(err)
		}
		do(i, value)
	}
	if first != nil {
		if _, err := d.Token(); err != nil {
			return whole(err)
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// whole is an error of a text that is read as a whole, so its end is no end of a stream.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
