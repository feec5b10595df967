package main

import (
	"flag"
	"os"
)

// resets forget the flags that the packages of other programs registered while they were initialised, for a
// program that shows all there are.
var resets = []func(){
	func() {
		usage := flag.CommandLine.Usage
		*flag.CommandLine = *flag.NewFlagSet(os.Args[0], flag.ExitOnError)
		flag.CommandLine.Usage = usage
	},
}
