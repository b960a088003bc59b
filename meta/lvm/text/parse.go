package text

import (
	"errors"
	"fmt"
	"strings"
)

// MaxBytes is the greatest length of a text. That of 10,000 thin volumes has about 5 MB.
const MaxBytes = 32 << 20

// Metadata has five levels of sections, and some 16 keys for each volume.
const (
	maxDepth = 16
	maxNodes = 3 << 20
)

// SyntaxError says that a text is not in the format.
type SyntaxError struct {
	Line int // from 1 on
	Err  error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *SyntaxError) Unwrap() error { return e.Err }

// Parse parses a text. What follows a NUL is no part of it. The error is a *[SyntaxError]; it
// is also one if the text is longer than [MaxBytes], is too deep or holds too much.
func Parse(text []byte) (*Section, error) {
	if len(text) > MaxBytes {
		return nil, &SyntaxError{1, fmt.Errorf("the text has %d bytes, more than %d", len(text), MaxBytes)}
	}
	p := &parser{rest: string(text), line: 1}
	if end := strings.IndexByte(p.rest, 0); end >= 0 {
		p.rest = p.rest[:end]
	}
	s, err := p.section(0)
	if err != nil {
		return nil, &SyntaxError{p.line, err}
	}
	return s, nil
}

// parser has what is left of a text.
type parser struct {
	rest  string
	line  int
	count int // nodes and values so far

	open []Node // of the sections that are not closed yet, the outermost first

	// What is parsed is taken from these: one allocation is for many.
	values   []value
	nodes    []Node
	sections []Section
}

// section parses what a section holds, and its closing brace, which the outermost one does
// not have.
func (p *parser) section(depth int) (*Section, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d sections in each other", maxDepth)
	}
	first := len(p.open)
	for {
		p.skip()
		switch {
		case p.rest == "" && depth == 0:
			return p.done(first)
		case p.rest == "":
			return nil, errors.New("the text ends in a section")
		case p.rest[0] == '}' && depth > 0:
			p.rest = p.rest[1:]
			return p.done(first)
		}
		n := Node{line: p.line}
		if err := p.node(&n, depth); err != nil {
			return nil, err
		}
		p.open = append(p.open, n)
	}
}

// done makes a section of the open nodes from first on.
func (p *parser) done(first int) (*Section, error) {
	n := len(p.open) - first
	if n > cap(p.nodes)-len(p.nodes) {
		p.nodes = make([]Node, 0, max(n, chunk(cap(p.nodes))))
	}
	begin := len(p.nodes)
	p.nodes = append(p.nodes, p.open[first:]...)
	nodes := p.nodes[begin:len(p.nodes):len(p.nodes)]
	p.open = p.open[:first]
	if key, twice := twice(nodes); twice {
		return nil, fmt.Errorf("%.80q is twice in one section", key)
	}
	if len(p.sections) == cap(p.sections) {
		p.sections = make([]Section, 0, chunk(cap(p.sections)))
	}
	p.sections = append(p.sections, Section{nodes})
	return &p.sections[len(p.sections)-1], nil
}

// few is for how many keys it is quicker to compare them all than to make a map.
const few = 20

func twice(nodes []Node) (key string, twice bool) {
	if len(nodes) <= few {
		for i := range nodes {
			for j := range i {
				if nodes[i].Key == nodes[j].Key {
					return nodes[i].Key, true
				}
			}
		}
		return "", false
	}
	seen := make(map[string]struct{}, len(nodes))
	for i := range nodes {
		seen[nodes[i].Key] = struct{}{}
		if len(seen) <= i {
			return nodes[i].Key, true
		}
	}
	return "", false
}

// chunk is how many to allocate next, after so many.
func chunk(n int) int { return min(max(2*n, 8), 1024) }

// node parses a key and what belongs to it.
func (p *parser) node(n *Node, depth int) (err error) {
	if err := p.countOne(); err != nil {
		return err
	}
	if n.Key, err = p.key(); err != nil {
		return err
	}
	p.skip()
	switch {
	case p.take('{'):
		n.Section, err = p.section(depth + 1)
	case p.take('='):
		p.skip()
		first := len(p.values)
		if n.array = p.take('['); n.array {
			first, err = p.array()
		} else {
			first, err = p.value(first)
		}
		n.values = p.values[first:len(p.values):len(p.values)]
	default:
		return fmt.Errorf("%.80q has neither a value nor a section", n.Key)
	}
	return err
}

func (p *parser) countOne() error {
	if p.count++; p.count > maxNodes {
		return fmt.Errorf("more than %d keys and values", maxNodes)
	}
	return nil
}

func (p *parser) key() (key string, err error) {
	switch p.rest[0] {
	case '"', '\'':
		key, err = p.quoted()
	case '{', '}', '[', ']', ',', '=':
		return "", fmt.Errorf("%q instead of a key", p.rest[0])
	default:
		key = p.bare()
	}
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", errors.New("an empty key")
	case strings.Contains(key, "/"):
		return "", fmt.Errorf("the key %.80q has a slash", key)
	}
	return key, nil
}

// array parses the values of an array, and its closing bracket. They are p.values from first
// on.
func (p *parser) array() (first int, err error) {
	first = len(p.values)
	comma := true
	for {
		p.skip()
		switch {
		case p.take(']'):
			return first, nil
		case p.rest == "":
			return first, errors.New("the text ends in an array")
		case !comma && p.rest[0] != '"' && p.rest[0] != '\'':
			return first, fmt.Errorf("%q instead of a comma", p.rest[0])
		}
		if first, err = p.value(first); err != nil {
			return first, err
		}
		p.skip()
		comma = p.take(',')
	}
}

// value parses one value, and appends it to p.values. first is where the values of its node
// begin, before and after: they are kept together.
func (p *parser) value(first int) (int, error) {
	if p.rest == "" {
		return first, errors.New("the text ends before a value")
	}
	if err := p.countOne(); err != nil {
		return first, err
	}
	var v value
	var err error
	switch c := p.rest[0]; {
	case c == '"' || c == '\'':
		v.kind = aString
		v.text, err = p.quoted()
	case c >= '0' && c <= '9' || c == '.' || c == '+' || c == '-':
		v.text, v.kind = p.number()
	case strings.IndexByte("{}[],=", c) >= 0:
		err = fmt.Errorf("%q instead of a value", c)
	default:
		v.text, v.kind = p.bare(), aString
	}
	if err != nil {
		return first, err
	}
	if len(p.values) == cap(p.values) {
		mine := p.values[first:]
		p.values = append(make([]value, 0, max(2*len(mine), chunk(cap(p.values)))), mine...)
		first = 0
	}
	p.values = append(p.values, v)
	return first, nil
}

// number takes digits, with a sign before them and a point between them.
func (p *parser) number() (string, kind) {
	kind := anInt
	if p.rest[0] == '.' {
		kind = aFloat
	}
	end := 1
	for ; end < len(p.rest); end++ {
		c := p.rest[end]
		if c == '.' && kind == anInt {
			kind = aFloat
		} else if c < '0' || c > '9' {
			break
		}
	}
	return p.cut(end), kind
}

// bare takes a word without quotes.
func (p *parser) bare() string {
	end := 1
	for end < len(p.rest) && !isSpace(p.rest[end]) && strings.IndexByte("#={}", p.rest[end]) < 0 {
		end++
	}
	return p.cut(end)
}

// quoted takes a string in quotes. Between double quotes a backslash may stand before a double
// quote or a backslash; between single quotes it is a byte as any other.
func (p *parser) quoted() (string, error) {
	quote := p.rest[0]
	escaped := false
	end := 1
	for ; end < len(p.rest) && p.rest[end] != quote; end++ {
		if p.rest[end] == '\\' && quote == '"' && end+1 < len(p.rest) {
			escaped = true
			end++
		}
	}
	if end >= len(p.rest) {
		return "", errors.New("the text ends in a string")
	}
	text := p.cut(end + 1)[1:end]
	p.line += strings.Count(text, "\n")
	if escaped {
		text = unescape.Replace(text)
	}
	return text, nil
}

var unescape = strings.NewReplacer(`\"`, `"`, `\\`, `\`)

func (p *parser) cut(end int) (cut string) {
	cut, p.rest = p.rest[:end], p.rest[end:]
	return cut
}

// take takes a byte if it is the next one.
func (p *parser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// skip skips space and comments.
func (p *parser) skip() {
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '\n':
			p.line++
		case isSpace(c):
		case c == '#':
			end := strings.IndexByte(p.rest[i:], '\n')
			if end < 0 {
				p.rest = ""
				return
			}
			i += end - 1 // to the newline
		default:
			p.rest = p.rest[i:]
			return
		}
	}
	p.rest = ""
}

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
