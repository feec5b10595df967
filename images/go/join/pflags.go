package main

import (
	"os"

	"github.com/spf13/pflag"
)

func init() {
	resets = append(resets, func() {
		*pflag.CommandLine = *pflag.NewFlagSet(os.Args[0], pflag.ExitOnError)
	})
}
