package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"thintree/volfs"
)

// Write writes m in lines.
func (m Manifest) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range m {
		e := &m[i]
		if e.Err != "" {
			fmt.Fprintf(b, "! %s %s\n", strconv.Quote(e.Path), strings.TrimPrefix(e.Err, "!"))
			continue
		}
		for _, c := range e.columns() {
			fmt.Fprintf(b, "%s ", c.value)
		}
		fmt.Fprintf(b, "%s\n", strconv.Quote(e.Path))
	}
	return b.Flush()
}

// Read reads what Write wrote. An error names the line.
func Read(r io.Reader) (Manifest, error) {
	b := bufio.NewReader(r)
	var m Manifest
	for {
		line, err := b.ReadString('\n')
		if line == "" && err == io.EOF {
			return m, nil
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		e, err := parseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("manifest: line %d: %w", len(m)+1, err)
		}
		m = append(m, e)
	}
}

func parseLine(line string) (Entry, error) {
	if rest, ok := strings.CutPrefix(line, "! "); ok {
		path, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return Entry{}, fmt.Errorf("path: %w", err)
		}
		e := Entry{Err: "!" + strings.TrimPrefix(rest[len(path):], " ")}
		e.Path, err = strconv.Unquote(path)
		return e, err
	}

	// Quoting puts a backslash before each quote, so the last quote with a space
	// before it begins the path, whatever the names of the xattrs are.
	at := strings.LastIndex(line, ` "`)
	if at < 0 {
		return Entry{}, errors.New("no path")
	}
	var e Entry
	var err error
	if e.Path, err = strconv.Unquote(line[at+1:]); err != nil {
		return Entry{}, fmt.Errorf("path: %w", err)
	}

	fields := strings.SplitN(line[:at], " ", 11)
	if len(fields) < 11 {
		return Entry{}, fmt.Errorf("%d columns before the path", len(fields))
	}
	e.Content, e.Xattrs = splitContent(fields[10])
	return e, e.setNumbers(fields[:10])
}

// splitContent parts the two columns that can hold spaces.
func splitContent(s string) (content, xattrs string) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		return quoted, strings.TrimPrefix(s[len(quoted):], " ")
	}
	at := strings.Index(s, " ")
	if strings.HasPrefix(s, "!") { // an error's text, which has spaces too
		at = strings.LastIndex(s, " ")
	}
	if at < 0 {
		return s, ""
	}
	return s[:at], s[at+1:]
}

func (e *Entry) setNumbers(fields []string) error {
	var failed error
	number := func(s string, base, bits int) uint64 {
		n, err := strconv.ParseUint(s, base, bits)
		if err != nil && failed == nil {
			failed = err
		}
		return n
	}
	moment := func(s string) volfs.Time {
		sec, nsec, _ := strings.Cut(s, ".")
		n, err := strconv.ParseInt(sec, 10, 64)
		if err != nil && failed == nil {
			failed = err
		}
		return volfs.Time{Sec: n, Nsec: uint32(number(nsec, 10, 32))}
	}
	e.Mode = uint32(number(fields[0], 8, 20))<<12 | uint32(number(fields[1], 8, 12))
	e.UID = uint32(number(fields[2], 10, 32))
	e.GID = uint32(number(fields[3], 10, 32))
	e.Nlink = uint32(number(fields[4], 10, 32))
	e.Size = int64(number(fields[5], 10, 63))
	e.Blocks = number(fields[6], 10, 64)
	e.Mtime = moment(fields[7])
	e.Ctime = moment(fields[8])
	e.Rdev = number(fields[9], 16, 64)
	return failed
}
