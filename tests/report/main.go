// Report reads the output of go test -json on standard input and prints it for
// people: a line for each package, what failed with its output, and which tests were
// skipped, with the reason. Its last line is "N passed, N failed, N skipped". A test with
// subtests counts as its subtests. The exit status is 1 if a test failed, no test passed, or
// the stream ends early.
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
