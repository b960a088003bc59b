package bytejson

import (
	"encoding/json"
	"testing"
	"time"
)

type inner struct {
	Label string `json:"label,omitempty"`
}

// More is embedded in outer.
type More struct {
	Where string   `json:"where"`
	List  []string `json:"list,omitempty"`
}

type outer struct {
	Name   string `json:"name"`
	Number *int   `json:"number,omitempty"`
	Untold string `json:"-"`
	Plain  bool
	In     *inner    `json:"in"`
	Of     []inner   `json:"of"`
	When   time.Time `json:"when"`
	*More
}

func TestUTF8IsWrittenAsByEncodingJSON(t *testing.T) {
	t.Parallel()
	n := 7
	for _, v := range []outer{
		{},
		{Name: `grüße \xff "<`, Number: &n, Untold: "x", Plain: true, In: &inner{}, Of: []inner{{"a"}, {}}, When: time.Unix(1, 5)},
		{More: &More{Where: "\ufffd\x00", List: []string{"", "b"}}},
	} {
		want, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Marshal(v); err != nil || string(got) != string(want)+"\n" {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}

func TestStringThatIsNotUTF8HasAMemberWithItsBytes(t *testing.T) {
	t.Parallel()
	got, err := Marshal([]outer{{
		Name: "caf\xe9", In: &inner{"\xfe\xff"}, Of: []inner{{`\xfe`}, {"\xed\xa0\x80"}},
		More: &More{Where: "/\xff", List: []string{"a", "\x80"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[
  {
    "name": "caf\\xe9",
    "name_base64": "Y2Fm6Q==",
    "Plain": false,
    "in": {
      "label": "\\xfe\\xff",
      "label_base64": "/v8="
    },
    "of": [
      {
        "label": "\\xfe"
      },
      {
        "label": "\\xed\\xa0\\x80",
        "label_base64": "7aCA"
      }
    ],
    "when": "0001-01-01T00:00:00Z",
    "where": "/\\xff",
    "where_base64": "L/8=",
    "list": [
      "a",
      "\\x80"
    ],
    "list_base64": [
      "YQ==",
      "gA=="
    ]
  }
]
`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}
