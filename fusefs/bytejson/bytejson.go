// Package bytejson writes JSON in which no byte of a name is lost.
//
// Names on Linux are bytes, and JSON's strings are text. If a member's string is not UTF-8,
// the bytes that are not are written as \xHH. A second member, with _base64 at the end of
// its name, has the exact bytes:
//
//	"name": "caf\\xe9", "name_base64": "Y2Fm6Q=="
//
// If one string of a list is not UTF-8, the second member is a list of all of them. A
// member without a second one is exact.
package bytejson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Marshal returns a value as [json.MarshalIndent] does, with the members that keep bytes,
// and a newline at the end. It looks into structs, slices and pointers. Strings in maps, and
// in types with a MarshalJSON of their own, are written as by encoding/json.
func Marshal(v any) ([]byte, error) {
	text, err := json.MarshalIndent(exact(reflect.ValueOf(v)), "", "  ")
	return append(text, '\n'), err
}

// exact returns a value with objects in place of its structs.
func exact(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return exact(v.Elem())
	case reflect.Struct:
		if own, ok := v.Interface().(json.Marshaler); ok {
			return own
		}
		return membersOf(v)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = exact(v.Index(i))
		}
		return list
	case reflect.String:
		return readable(v.String())
	}
	return v.Interface()
}

// object is a JSON object with ordered members.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the object.
func (o object) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), value...)
	}
	return append(text, '}'), nil
}

// membersOf returns the members of a struct by its fields' tags, with those of embedded
// structs.
func membersOf(v reflect.Value) object {
	o := object{}
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			if f = reflect.Indirect(f); f.IsValid() {
				o = append(o, membersOf(f)...)
			}
			continue
		case !field.IsExported(), name == "-", options == "omitempty" && isEmpty(f), options == "omitzero" && f.IsZero():
			continue
		case name == "":
			name = field.Name
		}
		o = append(o, member{name, exact(f)})
		if raw := bytesOf(f); raw != nil {
			o = append(o, member{name + "_base64", raw})
		}
	}
	return o
}

// isEmpty reports whether omitempty omits a value.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		return false
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	}
	return v.IsZero()
}

// bytesOf returns the bytes of a string, or of each string of a list. It returns nil if
// they are UTF-8, or v is of another type.
func bytesOf(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.String:
		if !utf8.ValidString(v.String()) {
			return []byte(v.String())
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		list, all := make([][]byte, v.Len()), true
		for i := range list {
			list[i] = []byte(v.Index(i).String())
			all = all && utf8.Valid(list[i])
		}
		if !all {
			return list
		}
	}
	return nil
}

// readable returns a string with each byte that is not UTF-8 as \xHH.
func readable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
