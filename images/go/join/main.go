// Several programs in one binary: the name it is called by says which one runs.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A program is a main function and the name it is called by.
type program struct {
	name string
	main func()
	// It reads the flags that packages registered while they were initialised.
	initFlags bool
}

func find(args []string) *program {
	if len(args) > 0 {
		for i := range programs {
			if programs[i].name == filepath.Base(args[0]) {
				return &programs[i]
			}
		}
	}
	return nil
}

func main() {
	chosen := find(os.Args)
	if chosen == nil && len(os.Args) > 1 {
		// Called by another name, the first argument may be the program's: "all-in-one bridge".
		if chosen = find(os.Args[1:]); chosen != nil {
			os.Args = os.Args[1:]
		}
	}
	if chosen == nil {
		fmt.Fprintln(os.Stderr, "This is several programs in one file. Call it by the name of one, or name one first:")
		for _, p := range programs {
			fmt.Fprintln(os.Stderr, "  "+p.name)
		}
		os.Exit(1)
	}
	if !chosen.initFlags {
		for _, reset := range resets {
			reset()
		}
	}
	chosen.main()
}
