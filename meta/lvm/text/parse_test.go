package text

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t testing.TB, text string) *Section {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestValuesAreRead(t *testing.T) {
	t.Parallel()
	s := parse(t, `# a comment
a = "one" b=2 c = -3
d = [ "x", 'y\' "z" , ] e = []
f = "quote \" backslash \\ other \n" g = 1.5 h = bare h2 = [ "pv0", 0, "pv1", 010 ]
"quoted key" = 'a # no comment'
sub { a = 1 # a comment at the end
  deeper {} }
big = 9223372036854775807`+"\x00 } garbage")
	strings := map[string]string{"a": "one", "f": `quote " backslash \ other \n`, "h": "bare", "quoted key": "a # no comment"}
	for key, want := range strings {
		if got, err := s.String(key); got != want || err != nil {
			t.Errorf("%s is %q, not %q: %v", key, got, want, err)
		}
	}
	for key, want := range map[string]uint64{"b": 2, "big": 1<<63 - 1} {
		if got, err := s.Uint(key, 63); got != want || err != nil {
			t.Errorf("%s is %d, not %d: %v", key, got, want, err)
		}
	}
	for key, want := range map[string][]string{"d": {"x", `y\`, "z"}, "e": {}, "a": {"one"}} {
		got, err := s.Strings(key)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(key, diff, err)
		}
	}
	pairs, err := s.Pairs("h2", 32)
	if diff := cmp.Diff([]Pair{{"pv0", 0}, {"pv1", 8}}, pairs); diff != "" || err != nil {
		t.Error(diff, err)
	}
	sub, err := s.Sub("sub")
	if err != nil || !sub.Has("deeper") || sub.Has("a comment") {
		t.Errorf("%+v, %v", sub, err)
	}
	if sub, err := s.Sub("none"); sub != nil || err != nil {
		t.Error(sub, err)
	}
}

func TestValuesOfAnotherKindAreErrors(t *testing.T) {
	t.Parallel()
	s := parse(t, "\ns = \"x\" n = 7 neg = -1 f = 1.5 list = [1] odd = [\"a\"] turned = [1, \"a\"] bad = 09\nsub {}\n")
	text := func(key string) error { _, err := s.String(key); return err }
	number := func(key string) error { _, err := s.Uint(key, 2); return err }
	list := func(key string) error { _, err := s.Strings(key); return err }
	pairs := func(key string) error { _, err := s.Pairs(key, 2); return err }
	section := func(key string) error { _, err := s.Sub(key); return err }
	for want, err := range map[string]error{
		`"none" is missing`:              text("none"),
		`line 2: "n" is an integer`:      text("n"),
		`line 2: "list" is an array`:     text("list"),
		`line 3: "sub" is a section`:     text("sub"),
		`"s" is a string, not an int`:    number("s"),
		`"n" is 7, not a number from 0 `: number("n"),
		`"neg" is -1, not a number`:      number("neg"),
		`"f" is a decimal fraction`:      number("f"),
		`"bad" is 09, not a number`:      number("bad"),
		`"list" is an array with an int`: list("list"),
		`"odd" is an array of an odd`:    pairs("odd"),
		`"turned" is an array of other`:  pairs("turned"),
		`"s" is a value, not a section`:  section("s"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, new(*KeyError)) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestWhatIsNotInTheFormatIsAnError(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                   "line 1: \"a\" has neither",
		"a = ":                "ends before a value",
		"\n\na = }":           "line 3: '}' instead of a value",
		"a { b = 1":           "ends in a section",
		"a = [ 1":             "ends in an array",
		"a = [ 1 2 ]":         "'2' instead of a comma",
		"a = \"x":             "ends in a string",
		"a = \"x\\\"":         "ends in a string",
		"}":                   "'}' instead of a key",
		"= 1":                 "'=' instead of a key",
		"'' = 1":              "an empty key",
		"a/b = 1":             "has a slash",
		"a = 1 b = 2 a = 3":   `"a" is twice`,
		"s { a {} a = 1 }":    `"a" is twice`,
		keys(40) + " key7 {}": `"key7" is twice`,
		strings.Repeat("a {", 40) + strings.Repeat("}", 40): "more than 16 sections",
		strings.Repeat(" ", MaxBytes+1):                     "more than 33554432",
		"a = [" + strings.Repeat("1,", maxNodes) + "]":      fmt.Sprintf("more than %d keys", maxNodes),
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, new(*SyntaxError)) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d = %d\n", i, i)
	}
	return b.String()
}

// An array may begin in one chunk of memory and go on in the next.
func TestLongArraysAreWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, 8, 9, 1000, 5000} {
		s := parse(t, "before = 1 list = ["+strings.Repeat(`"x", `, n)+"] after = 2")
		list, err := s.Strings("list")
		after, err2 := s.Uint("after", 8)
		if len(list) != n || strings.Join(list, "") != strings.Repeat("x", n) || after != 2 || err != nil || err2 != nil {
			t.Errorf("%d values instead of %d; %v, %v", len(list), n, err, err2)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("vg0 {\nid = \"x\"\nseqno = 15\nstatus = [\"READ\", \"WRITE\"]\nlv { segment1 { stripes = [\n\"pv0\", 0\n] } }\n}\n# c\nversion = 1\n\x00"))
	f.Add([]byte(`a = "\"\\" 'b' = 1.5 c = [ bare ] d { e = [] }`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			if e := new(SyntaxError); !errors.As(err, &e) || e.Line < 1 || len(err.Error()) > 500 {
				t.Fatal(err)
			}
			return
		}
		use(t, s)
	})
}

// use calls all methods for all keys.
func use(t *testing.T, s *Section) {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if s.Find(n.Key) != n {
			t.Fatalf("%q finds another node", n.Key)
		}
		s.String(n.Key)
		s.Uint(n.Key, 32)
		s.Strings(n.Key)
		s.Pairs(n.Key, 32)
		if n.Section != nil {
			use(t, n.Section)
		}
	}
}

func BenchmarkParse10000Volumes(b *testing.B) {
	var w strings.Builder
	w.WriteString("vg0 {\nlogical_volumes {\n")
	for i := range 10000 {
		fmt.Fprintf(&w, "\nroot-snap%d {\nid = \"g5irFN-8x3O-M9Iz-TX2y-uSkU-JPgA-daZ7dB\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\nflags = [\"ACTIVATION_SKIP\"]\n"+
			"creation_time = 1795476249\ncreation_host = \"(none)\"\nsegment_count = 1\n\nsegment1 {\nstart_extent = 0\nextent_count = 125\n\n"+
			"type = \"thin\"\nthin_pool = \"pool0\"\ntransaction_id = %d\ndevice_id = %d\norigin = \"root\"\n}\n}\n", i, i, i)
	}
	w.WriteString("}\n}\n\x00")
	text := []byte(w.String())
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
