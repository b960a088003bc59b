// Package layers tests what holds for the repository as a whole: which package
// may import which, and what no file may say.
package layers
