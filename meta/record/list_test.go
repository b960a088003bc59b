package record

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// numbered is a record of a list in these tests.
type numbered struct{ N int }

func readNumbers(t *testing.T, text string) (numbers []int, damaged []error, err error) {
	t.Helper()
	f, err := OpenFolder(folder(t, map[string]string{"list": text}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, damaged, err := ReadList[numbered](f, "list", 1<<20)
	for _, r := range list {
		numbers = append(numbers, r.N)
	}
	return numbers, damaged, err
}

func TestListIsReadRecordByRecord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		numbers []int
		damaged int
		says    string // of the error
	}{
		"":                              {},
		"null":                          {},
		" [] \n":                        {},
		`[{"n":2},{"n":1}]`:             {numbers: []int{2, 1}},
		`[{"n":1},{"n":"x"},7,{"n":3}]`: {numbers: []int{1, 3}, damaged: 2},
		`[{"n":1},{"n":2`:               {numbers: []int{1}, says: "unexpected EOF"},
		`[{"n":1},`:                     {numbers: []int{1}, says: "unexpected EOF"},
		`[{"n":1}`:                      {numbers: []int{1}, says: "unexpected EOF"},
		`[{"n":1}}`:                     {numbers: []int{1}, says: "invalid character"},
		`[{"n":1}] []`:                  {numbers: []int{1}, says: "more than one"},
		`{"n":1}`:                       {says: "not a JSON array"},
		`7`:                             {says: "not a JSON array"},
		" ":                             {says: "unexpected EOF"},
		"\x00":                          {says: "invalid character"},
		"[" + strings.Repeat("1,", 500_000) + "1]":     {damaged: maxDamaged + 1, says: "more than 131072 records"},
		"[" + strings.Repeat(`"x",`, 200) + `{"n":1}]`: {numbers: []int{1}, damaged: maxDamaged + 1},
	} {
		numbers, damaged, err := readNumbers(t, text)
		if !slices.Equal(numbers, want.numbers) || len(damaged) != want.damaged {
			t.Errorf("%.40q: %v, %d damaged", text, numbers, len(damaged))
		}
		if (err != nil) != (want.says != "") || err != nil && !strings.Contains(err.Error(), want.says) {
			t.Errorf("%.40q: %v", text, err)
		}
		for _, err := range append(damaged, err) {
			if err != nil && !strings.Contains(err.Error(), "/list: ") {
				t.Errorf("%.40q: no path: %v", text, err)
			}
		}
	}
}

func TestMissingOrLongListIsAnError(t *testing.T) {
	t.Parallel()
	f, err := OpenFolder(folder(t, map[string]string{"list": "[1,2,3]"}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, err := ReadList[int](f, "missing", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := ReadList[int](f, "list", 3); err == nil {
		t.Error("too long, but read")
	}
}

func FuzzReadList(f *testing.F) {
	for _, text := range []string{"", "null", "[]", `[{"n":1},{}]`, `[{"n":1}`, `[1] 2`, `{"n":[]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		err := eachValue(text, func(i int, text []byte) {
			if i != n || len(text) == 0 {
				t.Errorf("value %d: %q", i, text)
			}
			n++
		})
		var all []any
		if (unmarshal(text, &all) == nil) != (err == nil) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && n != len(all) {
			t.Error(fmt.Sprint(n, " values instead of ", len(all)))
		}
	})
}
