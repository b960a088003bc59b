package text

import (
	"fmt"
	"strconv"
)

// Section is a section of a text. It does not change once it is parsed, so its methods may be
// called concurrently.
type Section struct {
	// Nodes are what the section holds, in the order of the text. No two have one key.
	Nodes []Node
}

// Node is a key with its value or section.
type Node struct {
	Key     string
	Section *Section // nil for a value
	values  []value
	array   bool
	line    int // of the key, from 1 on
}

// value is a string, or a number as it is written.
type value struct {
	text string
	kind kind
}

type kind string

const (
	aString kind = "a string"
	anInt   kind = "an integer"
	aFloat  kind = "a decimal fraction"
)

// KeyError says that a key is missing, or has another value than it must have.
type KeyError struct {
	Key  string
	Line int // of the key, from 1 on; 0 if the key is missing
	Why  string
}

func (e *KeyError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%.80q %s", e.Key, e.Why)
	}
	return fmt.Sprintf("line %d: %.80q %s", e.Line, e.Key, e.Why)
}

// Find returns the node with a key, nil if there is none.
func (s *Section) Find(key string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Key == key {
			return &s.Nodes[i]
		}
	}
	return nil
}

// Has reports whether the section has a key.
func (s *Section) Has(key string) bool { return s.Find(key) != nil }

// Sub returns a section in this one, nil if there is none. If the key has a value instead, the
// error is a *[KeyError].
func (s *Section) Sub(key string) (*Section, error) {
	n := s.Find(key)
	if n == nil {
		return nil, nil
	}
	if n.Section == nil {
		return nil, n.is("a value, not a section")
	}
	return n.Section, nil
}

// String returns a value that is one string. The error is a *[KeyError].
func (s *Section) String(key string) (string, error) {
	v, err := s.single(key, aString)
	return v, err
}

// Uint returns a value that is one integer from 0 to 1<<bits-1. bits is at most 63. The error
// is a *[KeyError].
func (s *Section) Uint(key string, bits int) (uint64, error) {
	v, err := s.single(key, anInt)
	if err != nil {
		return 0, err
	}
	n, err := number(v, bits)
	if err != nil {
		return 0, s.Find(key).is(err.Error())
	}
	return n, nil
}

// Strings returns an array of strings. As in LVM, one string stands for an array of it. The
// error is a *[KeyError].
func (s *Section) Strings(key string) ([]string, error) {
	n, err := s.value(key)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(n.values))
	for i, v := range n.values {
		if v.kind != aString {
			return nil, n.is("an array with " + string(v.kind) + ", not only with strings")
		}
		list[i] = v.text
	}
	return list, nil
}

// Pair is a string and the number after it.
type Pair struct {
	Name   string
	Number uint64
}

// Pairs returns an array of strings that each have an integer from 0 to 1<<bits-1 after them.
// bits is at most 63. The error is a *[KeyError].
func (s *Section) Pairs(key string, bits int) ([]Pair, error) {
	n, err := s.value(key)
	if err != nil {
		return nil, err
	}
	if len(n.values)%2 != 0 {
		return nil, n.is("an array of an odd length, not of pairs")
	}
	list := make([]Pair, len(n.values)/2)
	for i := range list {
		name, count := n.values[2*i], n.values[2*i+1]
		if name.kind != aString || count.kind != anInt {
			return nil, n.is("an array of other things than a string and an integer in turn")
		}
		list[i].Name = name.text
		if list[i].Number, err = number(count.text, bits); err != nil {
			return nil, n.is(err.Error())
		}
	}
	return list, nil
}

// single returns the text of a value of a kind that is not an array.
func (s *Section) single(key string, want kind) (string, error) {
	n, err := s.value(key)
	if err != nil {
		return "", err
	}
	switch {
	case n.array:
		return "", n.is("an array, not " + string(want))
	case n.values[0].kind != want:
		return "", n.is(string(n.values[0].kind) + ", not " + string(want))
	}
	return n.values[0].text, nil
}

func (s *Section) value(key string) (*Node, error) {
	n := s.Find(key)
	switch {
	case n == nil:
		return nil, &KeyError{Key: key, Why: "is missing"}
	case n.Section != nil:
		return nil, n.is("a section, not a value")
	}
	return n, nil
}

func (n *Node) is(what string) error { return &KeyError{n.Key, n.line, "is " + what} }

// number reads an integer as strtoll does: a leading 0 makes it octal.
func number(text string, bits int) (uint64, error) {
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil || n < 0 || n>>bits != 0 {
		return 0, fmt.Errorf("%.40s, not a number from 0 to %d", text, uint64(1)<<bits-1)
	}
	return uint64(n), nil
}
