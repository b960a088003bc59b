// Report reads what go test -json prints on standard input and tells it to
// people: a line a package, what failed with its output, and which tests were
// left out for what reason. Its last line is "N passed, N failed, N skipped",
// where a test with subtests counts as these. It fails where a test failed, none
// passed, or the stream ends early.
package main

import (
	"fmt"
	"os"
)

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	if !r.finish() {
		os.Exit(1)
	}
}
