package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"thintree/fusefs/bytejson"
)

// reports are all types that are printed or shown as JSON.
var reports = []any{file{}, sourceVolume{}, sourcePool{}, foundSource{}, poolReport{}, volumeReport{}}

// fill sets each field of a value. Each string gets a text of its own; fill returns
// these. A field that it cannot fill fails the test: JSON would not keep it.
func fill(t *testing.T, v reflect.Value, path, text string) (texts []string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text + path)
		return []string{v.String()}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(t, v.Elem(), path, text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			texts = append(texts, fill(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i), text)...)
		}
	case reflect.Struct:
		if _, own := v.Interface().(json.Marshaler); own && v.Type().String() == "time.Time" {
			return nil
		}
		for i := range v.NumField() {
			field, f := v.Type().Field(i), v.Field(i)
			if field.Anonymous {
				f = embedded(v, i)
			}
			texts = append(texts, fill(t, f, path+"."+field.Name, text)...)
		}
	default:
		t.Errorf("%s is a %s", path, v.Type())
	}
	return texts
}

// embedded sets the embedded report of a store in the report of a pool: reflection cannot
// set a field that is not exported.
func embedded(v reflect.Value, i int) reflect.Value {
	if r, ok := v.Addr().Interface().(*poolReport); ok {
		r.storeReport = &storeReport{}
		return reflect.ValueOf(r.storeReport).Elem()
	}
	return v.Field(i)
}

// namesIn are the exact strings of a JSON value.
func namesIn(t *testing.T, v any) (texts []string) {
	t.Helper()
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			texts = append(texts, namesIn(t, e)...)
		}
	case map[string]any:
		for name, e := range v {
			if strings.HasSuffix(name, "_base64") {
				for _, text := range namesIn(t, e) {
					raw, err := base64.StdEncoding.DecodeString(text)
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					texts = append(texts, string(raw))
				}
			} else if _, beside := v[name+"_base64"]; !beside && !slices.Contains([]string{"modified", "created", "started", "finished"}, name) {
				texts = append(texts, namesIn(t, e)...)
			}
		}
	}
	return texts
}

func TestJSONKeepsEachByteOfEachString(t *testing.T) {
	t.Parallel()
	for _, r := range reports {
		v := reflect.New(reflect.TypeOf(r))
		want := fill(t, v.Elem(), v.Type().String(), "\xfe")
		text, err := bytejson.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		var read any
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		got := namesIn(t, read)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%T\ngot  %q\nwant %q", r, got, want)
		}
	}
}

func TestJSONOfOrdinaryStringsIsPlain(t *testing.T) {
	t.Parallel()
	for _, r := range reports {
		v := reflect.New(reflect.TypeOf(r))
		for _, filled := range []bool{false, true} {
			if filled {
				fill(t, v.Elem(), "", `grüße \xfe`)
			}
			want, err := json.MarshalIndent(v.Interface(), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := bytejson.Marshal(v.Interface()); err != nil || string(got) != string(want)+"\n" {
				t.Errorf("%T: %v\ngot  %s\nwant %s", r, err, got, want)
			}
		}
	}
}
