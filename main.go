// Thintree shows every volume of a device-mapper thin pool as a folder.
package main

import (
	"os"

	"thintree/cli"
)

func main() {
	os.Exit(cli.Main(os.Args))
}
