// Several programs in one binary: the name it is called by says which one runs.
package main

import (
	"encoding/json"
	"fmt"
	"io"
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

// answerRuntime ends a call of a container runtime as CNI's specification has it: an error in JSON, on standard output.
func answerRuntime(called string) {
	// Of a configuration without a version, or none that can be read.
	config := struct {
		CNIVersion string `json:"cniVersion"`
	}{}
	stdin, _ := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	if json.Unmarshal(stdin, &config) != nil || config.CNIVersion == "" {
		config.CNIVersion = "0.1.0"
	}
	names := ""
	for _, p := range programs {
		names += " " + p.name
	}
	answer, _ := json.MarshalIndent(map[string]any{
		"cniVersion": config.CNIVersion,
		// "Invalid network config": its type names a plugin that is not here.
		"code":    7,
		"msg":     fmt.Sprintf("%s is not a plugin of this file, which is several: %s", filepath.Base(called), names[1:]),
		"details": "a copy or a link of it must have the name of one of them; called as " + called,
	}, "", "    ")
	fmt.Println(string(answer))
	os.Exit(1)
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
		if os.Getenv("CNI_COMMAND") != "" {
			answerRuntime(os.Args[0])
		}
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
